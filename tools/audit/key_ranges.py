"""Reading tables by ranges of problem ids, so that memory does not grow with the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.errors import UserError, describe_error
from stages.common.tables import Table

UNREADABLE = (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What reading a damaged file raises; Polars' reader panics at some damage."""

ALL_STEPS = -1
"""A reply's step where it is about all steps of its sample."""

SAMPLE_KEY = ["problem_id", "sample_id"]
STEP_KEY = ["problem_id", "sample_id", "step"]


@dataclass(frozen=True)
class KeyRange:
    """Rows of one shard whose problem_id lies in [low, high); `high` None: to the end."""

    shard: str
    low: str
    high: str | None

    def contains(self) -> pl.Expr:
        """Whether a row lies in the range; a row without problem_id lies in the first."""
        column = pl.col("problem_id")
        inside = column >= self.low
        if self.high is not None:
            inside &= column < self.high
        return inside | column.is_null() if self.low == "" else inside


def plan_ranges(folder: Path, shard: str, size: int) -> list[KeyRange]:
    """Ranges that cover a shard with about `size` rows each, no problem in two; reads one column.

    Raises one of `UNREADABLE`.
    """
    lows = (
        pl.scan_parquet(folder / f"{shard}.parquet")
        .group_by("problem_id")
        .len()
        .drop_nulls()
        .sort("problem_id")
        .with_columns(number=(pl.col("len").cum_sum() - pl.col("len")) // size)
        .group_by("number")
        .agg(pl.col("problem_id").min())
        .sort("number")
        .collect()["problem_id"]
        .to_list()
    )
    return join_edges(shard, lows)


def join_edges(shard: str, lows: Sequence[str]) -> list[KeyRange]:
    """Ranges that begin at `lows`, sorted; the first begins at the very beginning."""
    edges: list[str] = ["", *lows[1:]]
    return [KeyRange(shard, low, high) for low, high in zip(edges, [*edges[1:], None], strict=True)]


def read_range(folder: Path, table: Table, keys: KeyRange) -> pl.DataFrame:
    """The rows of `table` in a range, in the file's order; raises one of `UNREADABLE`."""
    path = folder / f"{keys.shard}.parquet"
    if not path.is_file():
        raise UserError(f"no such shard of table {table.name}")
    rows = table.check(pl.scan_parquet(path).filter(keys.contains()).collect())
    types = {name: dtype for name, dtype in pl.read_parquet_schema(path).items() if dtype != rows.schema[name]}
    if types:  # that could be converted, but that no stage writes
        raise UserError(f"columns are {types}, expected { ({name: rows.schema[name] for name in types}) }")
    return rows


def read_where(folder: Path, table: Table, where: pl.Expr, columns: Sequence[str | pl.Expr] = ()) -> pl.DataFrame:
    """Rows of all shards of a table, with `columns` or all; none where the table is not there.

    Raises `UserError` for a damaged file.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        return pl.DataFrame(schema=table.schema).select(columns or pl.all())
    return collect(pl.scan_parquet(files).filter(where).select(columns or pl.all()), folder)


def collect(rows: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """Read `rows`; raises `UserError` naming `path` if it is damaged."""
    try:
        return rows.collect()
    except UNREADABLE as error:
        raise UserError(f"{path}: unreadable ({describe_error(error)}); run `audit verify` for details") from error
