"""The chain of one sample: every row that led to it or came of it, in one round or evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.recipe import SEED_POLICY
from stages.common.tables import LABEL, OUTCOME, PROBLEM, REPLY, SAMPLE, STEP, DropLog, Table
from stages.dataset import select_samples
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, UNREADABLE
from tools.audit.table_sets import (
    Selection,
    TableSet,
    find_evaluation_tables,
    find_round_tables,
    policy_of,
    replies_folder,
    round_names,
)
from tools.audit.verify.dataset_checks import COLUMNS
from tools.dvc_lock import Lock

Row = dict[str, Any]


@dataclass(frozen=True)
class Fate:
    """Whether the rule of the data set keeps a sample."""

    dropped: str | None
    """Why not, None where it does."""
    rank: int | None
    """0-based place among the problem's samples with the same verdict, by hash of seed and id."""
    right: int
    wrong: int
    """The problem's samples by verdict, before the rule."""


@dataclass(frozen=True)
class Chain:
    """A sample with all that belongs to it; what is not there is None or empty."""

    part: TableSet
    problem: Row | None
    sample: Row
    steps: list[Row]
    """STEP columns, and those of LABEL, null where a step has no label."""
    replies: list[Row]
    outcome: Row | None
    fate: Fate | None
    rows: dict[Path, int]
    """The sample's row in each file of the data set, 0-based."""


def find_all_tables(root: Path, lock: Lock) -> list[TableSet]:
    """Rounds, then evaluations; without those that did not run yet."""
    names = round_names(root)
    makers: list[Callable[[], list[TableSet]]] = [partial(_round, root, lock, name) for name in names]
    makers += [partial(find_evaluation_tables, lock, name) for name in [SEED_POLICY, *names]]
    parts: list[TableSet] = []
    for make in makers:
        try:
            parts += make()
        except ValueError:
            continue
    return parts


def _round(root: Path, lock: Lock, name: str) -> list[TableSet]:
    return [find_round_tables(lock, name, policy_of(root, name))]


def follow(root: Path, part: TableSet, sample_id: str) -> Chain | None:
    """The chain of a sample in `part`, None where it has no such sample; raises `ValueError` for a damaged file."""
    sample = _first(root / part.samples, SAMPLE, pl.col("sample_id") == sample_id)
    if sample is None:
        return None
    problem = pl.col("problem_id") == sample["problem_id"]
    own = problem & (pl.col("sample_id") == sample_id)
    return Chain(
        part,
        _first(root / part.problems, PROBLEM, problem),
        sample,
        _steps(root, part, own),
        [] if part.labels is None else rows_where(root / replies_folder(part), REPLY, own).to_dicts(),
        _first(root / part.outcomes, OUTCOME, own),
        None if part.selection is None else _fate(root, part, part.selection, sample, problem),
        {} if part.selection is None else _places(root, part.selection, sample_id),
    )


def samples_of(root: Path, part: TableSet, problem_id: str) -> pl.DataFrame:
    """SAMPLE rows of a problem, with its verdict as `value`, null where there is none."""
    own = pl.col("problem_id") == problem_id
    verdicts = rows_where(root / part.outcomes, OUTCOME, own).select(*SAMPLE_KEY, "is_correct")
    return rows_where(root / part.samples, SAMPLE, own).join(verdicts, on=SAMPLE_KEY, how="left", maintain_order="left")


def problem_row(root: Path, folder: Path, problem_id: str) -> Row | None:
    """The PROBLEM row with this id in a table of problems."""
    return _first(root / folder, PROBLEM, pl.col("problem_id") == problem_id)


def _steps(root: Path, part: TableSet, own: pl.Expr) -> list[Row]:
    if part.steps is None or part.labels is None:
        return []
    steps, judged = rows_where(root / part.steps, STEP, own), rows_where(root / part.labels, LABEL, own)
    return steps.join(judged, on=STEP_KEY, how="left").sort("step").to_dicts()


class Fates(DropLog):
    """Remembers why each sample was dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}

    def drop(self, reason: str, where: str, text: object = "") -> None:
        super().drop(reason, where, text)
        self.reasons[where] = reason


def _fate(root: Path, part: TableSet, selection: Selection, sample: Row, problem: pl.Expr) -> Fate:
    """What the rule makes of a sample among those of its problem: the rule looks at no other problem."""
    own = rows_where(root / part.samples, SAMPLE, problem).select("sample_id", "problem_id", "completion")
    verdicts = rows_where(root / part.outcomes, OUTCOME, problem).select("sample_id", label="is_correct")
    labelled = own.join(verdicts, on="sample_id", how="left")
    fates = Fates()
    kept = dict(
        select_samples(labelled, selection.params, selection.seed, fates).select("sample_id", "rank").iter_rows()
    )
    identity = sample["sample_id"]
    right, wrong = (labelled.filter(pl.col("label") == value).height for value in (True, False))
    return Fate(fates.reasons.get(identity), kept.get(identity), right, wrong)


def _places(root: Path, selection: Selection, sample_id: str) -> dict[Path, int]:
    places: dict[Path, int] = {}
    for path in (selection.folder / name for name in COLUMNS):
        if (root / path).is_file():
            rows = pl.scan_parquet(root / path, row_index_name="row").filter(pl.col("sample_id") == sample_id)
            places.update((path, row) for row in _collect(rows.select("row"), path)["row"])
    return places


def _first(folder: Path, table: Table, where: pl.Expr) -> Row | None:
    return next(iter(rows_where(folder, table, where).head(1).iter_rows(named=True)), None)


def rows_where(folder: Path, table: Table, where: pl.Expr, columns: Sequence[str] = ()) -> pl.DataFrame:
    """Rows of all shards of a table, all columns unless some are named; none where the table is not there."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        return pl.DataFrame(schema=table.schema).select(columns or pl.all())
    return _collect(pl.scan_parquet(files).filter(where).select(columns or pl.all()), folder)


def _collect(rows: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return rows.collect()
    except UNREADABLE as error:
        raise ValueError(f"{path}: unreadable ({' '.join(str(error).split())}); `audit verify` says more") from error
