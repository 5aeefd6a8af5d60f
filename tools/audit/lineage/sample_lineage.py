"""The lineage of one sample: every row that led to it or came of it, in one round or evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, REPLY, SAMPLE, SELECTION, STEP, VERIFIER_RESPONSE, Table
from stages.dataset import read_retractions
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, collect, read_where
from tools.audit.table_sets import DatasetSelection, TableSet
from tools.audit.verify.dataset_checks import COLUMNS

TableRow = dict[str, Any]


@dataclass(frozen=True)
class SelectionOutcome:
    """Whether a sample is selected for training."""

    drop_reason: str | None
    """Why it is dropped, None where it is kept."""
    rank: int | None
    """0-based rank among the problem's samples with the same verdict, by hash of seed and id."""
    num_correct: int
    num_incorrect: int
    """The problem's samples by verdict, before the rule."""


@dataclass(frozen=True)
class SampleLineage:
    """A sample with all that belongs to it; what is not there is None or empty."""

    tables: TableSet
    problem: TableRow | None
    sample: TableRow
    steps: list[TableRow]
    """STEP columns, and those of LABEL, null where a step has no label."""
    replies: list[TableRow]
    outcome: TableRow | None
    verifier_responses: list[TableRow]
    selection: SelectionOutcome | None
    retracted: dict[int, TableRow]
    """Labels found wrong by step: what the list says of each."""
    rows: dict[Path, int]
    """The sample's row in each file of the dataset, 0-based."""


def read_lineage(root: Path, tables: TableSet, sample_id: str) -> SampleLineage | None:
    """The lineage of a sample in `tables`, None where it is not there; raises `UserError` for a damaged file."""
    sample = read_first(root / tables.samples, SAMPLE, pl.col("sample_id") == sample_id)
    if sample is None:
        return None
    of_problem = pl.col("problem_id") == sample["problem_id"]
    of_sample = of_problem & (pl.col("sample_id") == sample_id)
    selection = tables.selection
    return SampleLineage(
        tables,
        read_first(root / tables.problems, PROBLEM, of_problem),
        sample,
        read_labelled_steps(root, tables, of_sample),
        read_replies(root, tables, of_sample),
        read_first(root / tables.outcomes, OUTCOME, of_sample),
        _read_verifier_responses(root, tables, of_sample),
        None if selection is None else _read_selection(root, tables, selection, of_sample, of_problem),
        {} if selection is None else _read_retracted(root, selection, sample_id),
        {} if selection is None else _find_rows(root, selection, sample_id),
    )


def read_samples(root: Path, tables: TableSet, where: pl.Expr) -> pl.DataFrame:
    """SAMPLE rows with the column `is_correct`, null where there is no verdict."""
    verdicts = read_where(root / tables.outcomes, OUTCOME, where, [*SAMPLE_KEY, "is_correct"])
    samples = read_where(root / tables.samples, SAMPLE, where)
    return samples.join(verdicts, on=SAMPLE_KEY, how="left", maintain_order="left")


def read_labelled_steps(root: Path, tables: TableSet, where: pl.Expr) -> list[TableRow]:
    """STEP columns, and those of LABEL, null where a step has no label; sorted by step."""
    if tables.steps is None or tables.labels is None:
        return []
    steps, labels = read_where(root / tables.steps, STEP, where), read_where(root / tables.labels, LABEL, where)
    return steps.join(labels, on=STEP_KEY, how="left").sort("step").to_dicts()


def read_replies(root: Path, tables: TableSet, where: pl.Expr) -> list[TableRow]:
    """REPLY rows by their key; none where no language model judges."""
    return [] if tables.replies is None else read_where(root / tables.replies, REPLY, where).sort(REPLY.key).to_dicts()


def _read_verifier_responses(root: Path, tables: TableSet, where: pl.Expr) -> list[TableRow]:
    folder = tables.verifier_responses
    return [] if folder is None else read_where(root / folder, VERIFIER_RESPONSE, where).sort("is_swapped").to_dicts()


def read_first(folder: Path, table: Table, where: pl.Expr) -> TableRow | None:
    """The first row of a table where `where` holds, None where there is none."""
    return next(iter(read_where(folder, table, where).head(1).iter_rows(named=True)), None)


def _read_selection(
    root: Path, tables: TableSet, selection: DatasetSelection, of_sample: pl.Expr, of_problem: pl.Expr
) -> SelectionOutcome | None:
    row = read_first(root / selection.selections, SELECTION, of_sample)
    if row is None:
        return None
    outcomes = read_where(root / tables.outcomes, OUTCOME, of_problem, ["is_correct"])["is_correct"].to_list()
    return SelectionOutcome(row["drop_reason"], row["rank"], outcomes.count(True), outcomes.count(False))


def _read_retracted(root: Path, selection: DatasetSelection, sample_id: str) -> dict[int, TableRow]:
    path = selection.params.retracted
    retractions = read_retractions(path and root / path).filter(pl.col("sample_id") == sample_id)
    return {row["step"]: row for row in retractions.iter_rows(named=True)}


def _find_rows(root: Path, selection: DatasetSelection, sample_id: str) -> dict[Path, int]:
    found: dict[Path, int] = {}
    for path in (selection.folder / name for name in COLUMNS):
        if (root / path).is_file():
            rows = pl.scan_parquet(root / path, row_index_name="row").filter(pl.col("sample_id") == sample_id)
            found.update((path, row) for row in collect(rows.select("row"), path)["row"])
    return found
