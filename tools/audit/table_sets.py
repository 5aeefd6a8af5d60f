"""Where a round's tables lie and which settings made them, as dvc.lock records it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from stages.common.params.block import read_yaml, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.recipe import SEED_POLICY
from stages.common.params.sample import PromptParams, SampleParams
from stages.common.params.split import SplitParams
from stages.common.params.tables import TablesParams
from tools.dvc_lock import Lock, LockEntry

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
class TableSet:
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
    labels: Path | None
    selection: Selection | None
    problems: Path = PROBLEMS
    """The problems that were sampled: those of the graph, or a benchmark's own."""


def replies_folder(part: TableSet) -> Path:
    """Where a served judge's raw replies lie."""
    assert part.labels is not None
    return part.labels / "replies"


def round_names(root: Path) -> list[str]:
    """Rounds of params.yaml, in its order."""
    return list(read_yaml(root / "params.yaml").get("rounds") or {})


def policy_of(root: Path, name: str) -> str:
    """The policy that round `name` starts from, by params.yaml."""
    return str(read_yaml(root / "params.yaml")["rounds"][name]["policy"])


def find_round_tables(lock: Lock, name: str, policy: str) -> TableSet:
    """Round `name`, which starts from `policy`; raises `ValueError` naming a stage or key that dvc.lock lacks."""
    sample = _settings(lock, f"sample@{name}")
    judge = _settings(lock, f"judge@{name}").block(JudgeParams, "judge")
    dataset = _settings(lock, f"dataset@{name}")
    selection = Selection(
        Path(f"data/datasets/{name}"),
        dataset.block(DatasetParams, "dataset"),
        dataset.block(PromptParams, "sample.prompt"),
        dataset.seed,
    )
    return TableSet(
        name=name,
        policy=Path("models", policy),
        digits=sample.block(TablesParams, "tables").shard_digits,
        seed=sample.seed,
        split="train",
        limit=sample.block(SampleParams, "sample").problems,
        sample=sample.block(SampleParams, "sample"),
        samples=Path(f"data/samples/{name}"),
        outcome=_settings(lock, f"outcome@{name}").block(OutcomeParams, "outcome"),
        outcomes=Path(f"data/outcomes/{name}"),
        splitter=_settings(lock, f"split@{name}").block(SplitParams, "split"),
        steps=Path(f"data/steps/{name}"),
        judge=judge,
        judges=_judges(judge),
        labels=Path(f"data/labels/{name}"),
        selection=selection,
    )


def find_evaluation_tables(lock: Lock, name: str) -> list[TableSet]:
    """The evaluation of policy `name`, on a split and on each benchmark; none where nothing is measured.

    On each: its greedy solutions and those that vote, or the recorded ones, which are all there are. Raises
    `ValueError` naming a stage or key that dvc.lock lacks.
    """
    settings = _settings(lock, "evaluate_seed" if name == SEED_POLICY else f"evaluate@{name}")
    evaluate = settings.block(EvaluateParams, "evaluate")
    folder = Path(f"data/evaluations/{name}")
    parts: list[TableSet] = []
    if evaluate.split is not None:
        parts += _measured(settings, evaluate, name, name, folder, PROBLEMS, evaluate.split)
    for benchmark in evaluate.benchmarks:
        place = folder / "benchmarks" / benchmark
        parts += _measured(settings, evaluate, name, f"{name} on {benchmark}", place, place / "problems", "test")
    return parts


def _measured(
    settings: _Settings, evaluate: EvaluateParams, policy: str, title: str, folder: Path, problems: Path, split: str
) -> list[TableSet]:
    """The tables in `folder`, where a policy was measured on `problems` of `split`."""
    sample = settings.block(SampleParams, "sample").model_copy(update={"problems": None})
    several = sample.model_copy(update={"samples": evaluate.majority})
    recorded = sample.engine == "recorded"
    judge = evaluate.judge or settings.block(JudgeParams, "judge").model_copy(update={"label_noise": 0.0})
    judged = TableSet(
        name=f"evaluation of {title}",
        policy=Path("models", policy),
        digits=settings.block(TablesParams, "tables").shard_digits,
        seed=settings.seed,
        split=split,
        limit=evaluate.problems,
        sample=several if recorded else sample.model_copy(update={"temperature": 0.0, "samples": 1}),
        samples=folder / "samples",
        outcome=settings.block(OutcomeParams, "outcome"),
        outcomes=folder / "outcomes",
        splitter=settings.block(SplitParams, "split"),
        steps=folder / "steps",
        judge=judge,
        judges=_judges(judge),
        labels=folder / "labels",
        selection=None,
        problems=problems,
    )
    if recorded or not evaluate.majority:
        return [judged]
    votes = replace(
        judged,
        name=f"vote of {title}",
        sample=several.model_copy(update={"temperature": evaluate.temperature}),
        samples=folder / "majority" / "samples",
        outcomes=folder / "majority" / "outcomes",
        steps=None,
        labels=None,
    )
    return [judged, votes]


def _judges(judge: JudgeParams) -> int:
    return 0 if judge.kind != "llm" else 1 + (judge.second_judge is not None)


@dataclass(frozen=True)
class _Settings:
    """The settings that one stage of dvc.lock ran with."""

    entry: LockEntry

    def block(self, kind: type[B], key: str) -> B:
        if key not in self.entry.tracked:
            raise ValueError(f"dvc.lock: {self.entry.name}: params hold no {key}")
        return validate(kind, self.entry.tracked[key], f"dvc.lock: {self.entry.name}: {key}")

    @property
    def seed(self) -> int:
        seed: Any = self.entry.tracked.get("seed")
        if not isinstance(seed, int):
            raise ValueError(f"dvc.lock: {self.entry.name}: params hold no seed")
        return seed


def _settings(lock: Lock, stage: str) -> _Settings:
    if stage not in lock:
        raise ValueError(f"dvc.lock: no stage {stage}; `dvc repro` has not run it yet")
    return _Settings(lock[stage])
