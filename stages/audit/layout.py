"""Where a round's tables lie and which settings made them, as dvc.lock records it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from stages.audit.lock import Entry, Lock
from stages.params.base import read_yaml, validate
from stages.params.dataset import DatasetParams
from stages.params.evaluate import EvaluateParams
from stages.params.judge import JudgeParams
from stages.params.outcome import OutcomeParams
from stages.params.recipe import SEED_POLICY
from stages.params.records import RecordsParams
from stages.params.sample import PromptParams, SampleParams
from stages.params.split import SplitParams

B = TypeVar("B", bound=BaseModel)

PROBLEMS = Path("data/problems")


@dataclass(frozen=True)
class Selection:
    """A round's data set and the settings that choose its rows."""

    folder: Path
    params: DatasetParams
    prompt: PromptParams
    seed: int


@dataclass(frozen=True)
class Part:
    """Tables that belong together: those of a round, or of an evaluation. Paths are relative to the root."""

    name: str
    policy: Path
    digits: int
    seed: int
    split: str
    """Which problems are sampled: train, validation or test."""
    limit: int | None
    """How many of them, null for all: a round's by the hash of problem and policy, an evaluation's by their ids."""
    sample: SampleParams
    samples: Path
    outcome: OutcomeParams
    outcomes: Path
    splitter: SplitParams
    steps: Path | None
    judge: JudgeParams
    judges: int
    """Models that must agree on a label, 0 where a rule judges."""
    judged: Path | None
    selection: Selection | None


def replies_folder(part: Part) -> Path:
    """Where a served judge's raw replies lie."""
    assert part.judged is not None
    return part.judged / "replies"


def round_names(root: Path) -> list[str]:
    """Rounds of params.yaml, in its order."""
    return list(read_yaml(root / "params.yaml").get("rounds") or {})


def policy_of(root: Path, name: str) -> str:
    """The policy that round `name` starts from, by params.yaml."""
    return str(read_yaml(root / "params.yaml")["rounds"][name]["policy"])


def round_part(lock: Lock, name: str, policy: str) -> Part:
    """Round `name`, which starts from `policy`; raises `ValueError` naming a stage or key that dvc.lock lacks."""
    sample, judge = _settings(lock, f"sample@{name}"), _settings(lock, f"judge@{name}")
    dataset = _settings(lock, f"dataset@{name}")
    selection = Selection(
        Path(f"data/datasets/{name}"),
        dataset.block(DatasetParams, "dataset"),
        dataset.block(PromptParams, "sample.prompt"),
        dataset.seed,
    )
    return Part(
        name=name,
        policy=Path("models", policy),
        digits=sample.block(RecordsParams, "records").shard_digits,
        seed=sample.seed,
        split="train",
        limit=sample.block(SampleParams, "sample").problems,
        sample=sample.block(SampleParams, "sample"),
        samples=Path(f"data/samples/{name}"),
        outcome=_settings(lock, f"outcome@{name}").block(OutcomeParams, "outcome"),
        outcomes=Path(f"data/outcomes/{name}"),
        splitter=_settings(lock, f"split@{name}").block(SplitParams, "split"),
        steps=Path(f"data/steps/{name}"),
        judge=judge.block(JudgeParams, "judge"),
        judges=judge.judges,
        judged=Path(f"data/judged/{name}"),
        selection=selection,
    )


def evaluation_parts(lock: Lock, name: str) -> list[Part]:
    """The evaluation of policy `name`: its greedy solutions, and those that vote; none where none were drawn.

    Raises `ValueError` naming a stage or key that dvc.lock lacks.
    """
    settings = _settings(lock, "evaluate_seed" if name == SEED_POLICY else f"evaluate@{name}")
    sample = settings.block(SampleParams, "sample")
    evaluate = settings.block(EvaluateParams, "evaluate")
    if evaluate.split is None:
        return []
    folder = Path(f"data/evaluations/{name}")
    greedy = Part(
        name=f"evaluation of {name}",
        policy=Path("models", name),
        digits=settings.block(RecordsParams, "records").shard_digits,
        seed=settings.seed,
        split=evaluate.split,
        limit=evaluate.problems,
        sample=sample.model_copy(update={"temperature": 0.0, "samples": 1, "problems": None}),
        samples=folder / "samples",
        outcome=settings.block(OutcomeParams, "outcome"),
        outcomes=folder / "outcomes",
        splitter=settings.block(SplitParams, "split"),
        steps=folder / "steps",
        judge=settings.block(JudgeParams, "judge").model_copy(update={"flip": 0.0}),
        judges=settings.judges,
        judged=folder / "judged",
        selection=None,
    )
    if not evaluate.majority:
        return [greedy]
    voting = {"temperature": evaluate.temperature, "samples": evaluate.majority, "problems": None}
    majority = folder / "majority"
    return [
        greedy,
        replace(
            greedy,
            name=f"vote of {name}",
            sample=sample.model_copy(update=voting),
            samples=majority / "samples",
            outcomes=majority / "outcomes",
            steps=None,
            judged=None,
        ),
    ]


@dataclass(frozen=True)
class _Settings:
    """The settings that one stage of dvc.lock ran with."""

    entry: Entry

    def block(self, kind: type[B], key: str) -> B:
        if key not in self.entry.settings:
            raise ValueError(f"dvc.lock: {self.entry.name}: params hold no {key}")
        return validate(kind, self.entry.settings[key], f"dvc.lock: {self.entry.name}: {key}")

    @property
    def seed(self) -> int:
        seed: Any = self.entry.settings.get("seed")
        if not isinstance(seed, int):
            raise ValueError(f"dvc.lock: {self.entry.name}: params hold no seed")
        return seed

    @property
    def judges(self) -> int:
        judge = self.entry.settings["judge"]
        return 0 if judge["kind"] != "served" else 1 + (judge.get("second") is not None)


def _settings(lock: Lock, stage: str) -> _Settings:
    if stage not in lock:
        raise ValueError(f"dvc.lock: no stage {stage}; `dvc repro` has not run it yet")
    return _Settings(lock[stage])
