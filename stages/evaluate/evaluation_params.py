"""The params blocks that an evaluation reads, and what follows from several of them."""

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
from stages.common.statistics import Bootstrap
from stages.common.tables import seed_from
from stages.judge import make_judge


@dataclass(frozen=True)
class EvaluationParams:
    """The params blocks that an evaluation reads."""

    seed: int
    sample: SampleParams
    split: SplitParams
    judge: JudgeParams
    outcome: OutcomeParams
    evaluate: EvaluateParams
    runtime: RuntimeParams

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(self.evaluate.num_bootstrap_samples, seed_from("bootstrap", self.seed))

    @property
    def evaluation_judge(self) -> JudgeParams:
        """The judge of the evaluation: its own, or the recipe's without label noise."""
        return self.evaluate.judge or self.judge.model_copy(update={"label_noise": 0.0})

    @property
    def is_recorded(self) -> bool:
        """Whether completions are read from a file instead of sampled from the policy."""
        return not find_engine_kind(self.sample.engine).generates


def name_judge(judge: JudgeParams) -> str:
    """The model that judges, or the judge's kind if its params name no model."""
    return make_judge(judge, 0).model or judge.kind


def load_params(recipe: Path) -> EvaluationParams:
    """Params of an evaluation from `recipe`; `runtime` comes from the recipe in force on this machine."""
    return EvaluationParams(
        seed=load_seed(recipe),
        sample=load(SampleParams, recipe, "sample"),
        split=load(SplitParams, recipe, "split"),
        judge=load(JudgeParams, recipe, "judge"),
        outcome=load(OutcomeParams, recipe, "outcome"),
        evaluate=load(EvaluateParams, recipe, "evaluate"),
        runtime=load_runtime(),
    )
