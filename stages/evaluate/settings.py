"""All settings that an evaluation reads, and what follows from several of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.common.engines import find_engine_kind
from stages.common.params.block import load, load_seed
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.runtime import RuntimeParams, load_runtime
from stages.common.params.sample import SampleParams
from stages.common.params.split import SplitParams
from stages.common.statistics import Resampling
from stages.common.tables import seed_from
from stages.judge import make_judge


@dataclass(frozen=True)
class Settings:
    """All settings that an evaluation reads."""

    seed: int
    sample: SampleParams
    split: SplitParams
    judge: JudgeParams
    outcome: OutcomeParams
    evaluate: EvaluateParams
    runtime: RuntimeParams

    @property
    def resampling(self) -> Resampling:
        return Resampling(self.evaluate.bootstrap, seed_from("bootstrap", self.seed))

    @property
    def measuring_judge(self) -> JudgeParams:
        """Who judges here: the evaluation's judge as it is, or the recipe's own without the flips of its labels."""
        return self.evaluate.judge or self.judge.model_copy(update={"label_noise": 0.0})

    @property
    def recorded(self) -> bool:
        return not find_engine_kind(self.sample.engine).generates


def judge_name(judge: JudgeParams) -> str:
    """The model that judges, or the judge's kind where no model does."""
    return make_judge(judge, 0).model or judge.kind


def load_settings(recipe: Path) -> Settings:
    """Settings of an evaluation from `recipe`, the machine's from the recipe in force."""
    return Settings(
        seed=load_seed(recipe),
        sample=load(SampleParams, recipe, "sample"),
        split=load(SplitParams, recipe, "split"),
        judge=load(JudgeParams, recipe, "judge"),
        outcome=load(OutcomeParams, recipe, "outcome"),
        evaluate=load(EvaluateParams, recipe, "evaluate"),
        runtime=load_runtime(),
    )
