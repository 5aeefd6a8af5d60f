"""Where tables of a round or an evaluation lie and which params made them, as dvc.lock records it."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from stages.common.engines import find_engine_kind
from stages.common.errors import UserError
from stages.common.params.block import read_yaml, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.recipe import SEED_POLICY
from stages.common.params.sample import PromptParams, SampleParams
from stages.common.params.select import SelectParams
from stages.common.params.split import SplitParams
from stages.common.params.tables import TablesParams
from stages.common.plugins import load_plugins
from tools.dvc_lock import Lock, LockEntry, name_stage

B = TypeVar("B", bound=BaseModel)

RECIPE = "params.yaml"
PROBLEMS = Path("data/problems")


@dataclass(frozen=True)
class DatasetSelection:
    """A round's selected samples and the dataset that they make, with the params of both."""

    folder: Path
    """Where the dataset lies."""
    selections: Path
    rule: SelectParams
    params: DatasetParams
    prompt: PromptParams
    seed: int


@dataclass(frozen=True)
class TableSet:
    """Tables that belong together: those of a round, or of an evaluation. Paths are relative to the root."""

    name: str
    policy: Path
    shard_digits: int
    seed: int
    split: str
    """Which problems are sampled: train, validation or test."""
    num_problems: int | None
    """How many of them, None for all: a round's by the hash of problem and policy, an evaluation's by their ids."""
    sample: SampleParams
    samples: Path
    outcome: OutcomeParams
    outcomes: Path
    splitter: SplitParams
    steps: Path | None
    judge: JudgeParams
    labels: Path | None
    selection: DatasetSelection | None
    problems: Path = PROBLEMS
    """The problems that were sampled: those of the graph, or a benchmark's own."""

    @property
    def replies(self) -> Path | None:
        """Where raw replies of language models as judges lie."""
        return self.labels and self.labels / "replies"

    @property
    def verifier_responses(self) -> Path | None:
        """Where raw responses of a model as second verifier lie."""
        return None if self.outcome.second_verifier is None else self.outcomes / "responses"


@dataclass(frozen=True)
class _StageParams:
    """The params that one stage of dvc.lock ran with."""

    entry: LockEntry

    def get_block(self, block: type[B], key: str) -> B:
        if key not in self.entry.tracked_params:
            raise UserError(f"dvc.lock: {self.entry.name}: params hold no {key}")
        return validate(block, self.entry.tracked_params[key], f"dvc.lock: {self.entry.name}: {key}")

    @property
    def seed(self) -> int:
        seed: Any = self.entry.tracked_params.get("seed")
        if not isinstance(seed, int):
            raise UserError(f"dvc.lock: {self.entry.name}: params hold no seed")
        return seed


def _find_params(lock: Lock, stage: str) -> _StageParams:
    if stage not in lock:
        raise UserError(f"dvc.lock: no stage {stage}; run `dvc repro`")
    return _StageParams(lock[stage])


def list_rounds(root: Path) -> list[str]:
    """Rounds of params.yaml, in its order; loads the plugins that it names."""
    load_plugins(root / RECIPE)
    return list(read_yaml(root / RECIPE).get("rounds") or {})


def find_round_tables(lock: Lock, name: str) -> list[TableSet]:
    """The tables of round `name`; raises `UserError` naming a stage or key that dvc.lock lacks."""
    sample = _find_params(lock, f"sample@{name}")
    policy = next((path for path in sample.entry.deps if path.startswith("models/")), None)
    if policy is None:
        raise UserError(f"dvc.lock: sample@{name}: reads no policy")
    judge = _find_params(lock, f"judge@{name}").get_block(JudgeParams, "judge")
    dataset = _find_params(lock, f"dataset@{name}")
    tables = TableSet(
        name=name,
        policy=Path(policy),
        shard_digits=sample.get_block(TablesParams, "tables").shard_digits,
        seed=sample.seed,
        split="train",
        num_problems=sample.get_block(SampleParams, "sample").num_problems,
        sample=sample.get_block(SampleParams, "sample"),
        samples=Path(f"data/samples/{name}"),
        outcome=_find_params(lock, f"outcome@{name}").get_block(OutcomeParams, "outcome"),
        outcomes=Path(f"data/outcomes/{name}"),
        splitter=_find_params(lock, f"split@{name}").get_block(SplitParams, "split"),
        steps=Path(f"data/steps/{name}"),
        judge=judge,
        labels=Path(f"data/labels/{name}"),
        selection=DatasetSelection(
            Path(f"data/datasets/{name}"),
            Path(f"data/selections/{name}"),
            _find_params(lock, f"select@{name}").get_block(SelectParams, "select"),
            dataset.get_block(DatasetParams, "dataset"),
            dataset.get_block(PromptParams, "sample.prompt"),
            dataset.seed,
        ),
    )
    return [tables]


def find_evaluation_tables(lock: Lock, policy: str) -> list[TableSet]:
    """The tables of the evaluation of `policy`, on a split and on each benchmark; none where nothing is evaluated.

    On each: its greedy completions and those for the majority vote, or the recorded ones, which are all there are.
    Raises `UserError` naming a stage or key that dvc.lock lacks.
    """
    params = _find_params(lock, name_stage("evaluate", policy))
    evaluate = params.get_block(EvaluateParams, "evaluate")
    folder = Path(f"data/evaluations/{policy}")
    table_sets: list[TableSet] = []
    if evaluate.split is not None:
        table_sets += _build_evaluation_tables(params, policy, policy, folder, PROBLEMS, evaluate.split)
    for name in evaluate.benchmarks:
        benchmark = folder / "benchmarks" / name
        title = f"{policy} on {name}"
        table_sets += _build_evaluation_tables(params, policy, title, benchmark, benchmark / "problems", "test")
    return table_sets


@dataclass(frozen=True)
class TableLookup:
    """How to find the tables of a round or an evaluation, and the stages that wrote them and what they came from."""

    name: str
    stages: tuple[str, ...]
    find: Callable[[], list[TableSet]]
    """Raises as `find_round_tables`."""


def list_lookups(lock: Lock, rounds: list[str]) -> list[TableLookup]:
    """Those of each round, then of each evaluation."""
    own = {
        name: tuple(f"{stage}@{name}" for stage in ("sample", "outcome", "select", "split", "judge", "dataset"))
        for name in rounds
    }
    return [
        *(TableLookup(f"round {name}", own[name], partial(find_round_tables, lock, name)) for name in rounds),
        *(
            TableLookup(
                f"evaluation of {name}", (name_stage("evaluate", name),), partial(find_evaluation_tables, lock, name)
            )
            for name in [SEED_POLICY, *rounds]
        ),
    ]


def find_all_tables(root: Path, lock: Lock) -> list[TableSet]:
    """The tables of rounds, then of evaluations; without those that have not run yet."""
    table_sets: list[TableSet] = []
    for lookup in list_lookups(lock, list_rounds(root)):
        with suppress(UserError):
            table_sets += lookup.find()
    return table_sets


def _build_evaluation_tables(
    params: _StageParams, policy: str, title: str, folder: Path, problems: Path, split: str
) -> list[TableSet]:
    """The tables in `folder`, where `policy` is evaluated on `problems` of `split`."""
    evaluate = params.get_block(EvaluateParams, "evaluate")
    sample = params.get_block(SampleParams, "sample").model_copy(update={"num_problems": None})
    several = sample.model_copy(update={"num_samples": evaluate.num_majority_samples})
    is_recorded = not find_engine_kind(sample.engine).generates
    judge = evaluate.judge or params.get_block(JudgeParams, "judge").model_copy(update={"label_noise": 0.0})
    judged = TableSet(
        name=f"evaluation of {title}",
        policy=Path("models", policy),
        shard_digits=params.get_block(TablesParams, "tables").shard_digits,
        seed=params.seed,
        split=split,
        num_problems=evaluate.num_problems,
        sample=several if is_recorded else sample.model_copy(update={"temperature": 0.0, "num_samples": 1}),
        samples=folder / "samples",
        outcome=params.get_block(OutcomeParams, "outcome").model_copy(update={"second_verifier": None}),
        outcomes=folder / "outcomes",
        splitter=params.get_block(SplitParams, "split"),
        steps=folder / "steps",
        judge=judge,
        labels=folder / "labels",
        selection=None,
        problems=problems,
    )
    if is_recorded or not evaluate.num_majority_samples:
        return [judged]
    majority = replace(
        judged,
        name=f"majority vote of {title}",
        sample=several.model_copy(update={"temperature": evaluate.temperature}),
        samples=folder / "majority" / "samples",
        outcomes=folder / "majority" / "outcomes",
        steps=None,
        labels=None,
    )
    return [judged, majority]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file such as a manifest, empty where there is none; check ``manifests`` reports that."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
