"""Reading tables piece by piece, and comparing rows that are there with rows that should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import Table
from tools.audit.check_results import SHOWN, CheckResults

UNREADABLE = (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What reading a damaged file raises; Polars' reader panics at some damage."""


WHOLE = -1
"""A reply's step where it is about all steps of its sample."""

SAMPLE_KEY = ["problem_id", "sample_id"]
STEP_KEY = ["problem_id", "sample_id", "step"]


@dataclass(frozen=True)
class KeyRange:
    """Rows of one shard whose problem_id lies in [low, high); `high` None: to the end."""

    shard: str
    low: str
    high: str | None

    def within(self) -> pl.Expr:
        """Whether a row lies in the range; a row without problem_id lies in the first."""
        column = pl.col("problem_id")
        inside = column >= self.low
        if self.high is not None:
            inside &= column < self.high
        return inside | column.is_null() if self.low == "" else inside


def plan_ranges(folder: Path, shard: str, size: int) -> list[KeyRange]:
    """Ranges that cover shard `shard` with about `size` rows each, no problem in two; reads one column.

    Raises one of `UNREADABLE`.
    """
    path = folder / f"{shard}.parquet"
    counts = (
        pl.scan_parquet(path)
        .group_by("problem_id")
        .len()
        .drop_nulls()
        .sort("problem_id")
        .with_columns(part=(pl.col("len").cum_sum() - pl.col("len")) // size)
        .group_by("part")
        .agg(pl.col("problem_id").min())
        .sort("part")
        .collect()
    )
    lows = ["", *counts["problem_id"].to_list()[1:]]
    return [KeyRange(shard, low, high) for low, high in zip(lows, [*lows[1:], None], strict=True)]


def read_range(folder: Path, table: Table, part: KeyRange) -> pl.DataFrame:
    """The rows of `table` in a range, in the file's order; raises one of `UNREADABLE`."""
    path = folder / f"{part.shard}.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"no such shard of table {table.name}")
    return table.check(pl.scan_parquet(path).filter(part.within()).collect())


def check_shape(findings: CheckResults, path: str, table: Table, frame: pl.DataFrame, shard: str) -> None:
    """Rows must be sorted by the table's key, each key once, and lie in their own shard."""
    findings.seen("tables", frame.height)
    key = list(table.key)
    for row in frame.filter(pl.struct(key).is_duplicated()).iter_rows(named=True):
        findings.fault("tables", f"{path}: {name_row(row)}", f"key {key} is there twice")
    if not frame.select(key).equals(frame.select(key).sort(key)):
        findings.fault("tables", path, f"rows are not sorted by {key}")
    if shard != "all":
        for row in frame.filter(~pl.col("problem_id").str.starts_with(shard)).iter_rows(named=True):
            findings.fault("tables", f"{path}: {name_row(row)}", f"problem {row['problem_id']} belongs elsewhere")


def check_parents(
    findings: CheckResults,
    check: str,
    path: str,
    frame: pl.DataFrame,
    parents: pl.DataFrame,
    on: list[str],
    parent: str,
) -> pl.DataFrame:
    """Name rows of `frame` that have no parent; returns those that have one."""
    for row in frame.join(parents, on=on, how="anti", nulls_equal=True).iter_rows(named=True):
        findings.fault(check, f"{path}: {name_row(row)}", f"orphan: there is no such {parent}")
    return frame.join(parents.select(on), on=on, how="semi", maintain_order="left")


def check_equal(
    findings: CheckResults, check: str, path: str, actual: pl.DataFrame, expected: pl.DataFrame, key: list[str], by: str
) -> None:
    """Name rows of `actual` that `expected` (same columns) holds otherwise, not at all, or alone; `by` made those."""
    findings.seen(check, actual.height)
    for row in expected.join(actual, on=key, how="anti").iter_rows(named=True):
        findings.fault(check, f"{path}: {name_row(row)}", f"row is missing; {by} gives one")
    for row in actual.join(expected, on=key, how="anti").iter_rows(named=True):
        findings.fault(check, f"{path}: {name_row(row)}", f"row should not be; {by} gives none")
    columns = [name for name in actual.columns if name not in key]
    both = actual.join(expected, on=key, how="inner", suffix=" expected", maintain_order="left")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name} expected")) for name in columns)
    wrong = both.filter(differs)
    for row in wrong.head(SHOWN).iter_rows(named=True):
        said = [
            f"{name} is {row[name]!r}, {by} gives {row[f'{name} expected']!r}"
            for name in columns
            if row[name] != row[f"{name} expected"]
        ]
        findings.fault(check, f"{path}: {name_row(row)}", "; ".join(said))
    findings.more(check, max(wrong.height - SHOWN, 0))


def name_row(row: dict[str, Any]) -> str:
    """A row by its ids."""
    if "sample_id" not in row:
        return f"problem {row['problem_id']}"
    step = f" step {row['step']}" if row.get("step", WHOLE) != WHOLE else ""
    reply = f" judge {row['judge']} vote {row['vote']} attempt {row['attempt']}" if "attempt" in row else ""
    return f"sample {row['sample_id']}{step}{reply}"
