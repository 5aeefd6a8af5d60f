"""Comparing rows of a table with each other, with their parents and with rows that were recomputed."""

from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import describe_error
from stages.common.tables import Table
from tools.audit.check_results import MAX_NAMED, CheckResults
from tools.audit.key_ranges import ALL_STEPS, UNREADABLE, KeyRange, read_range


def add_unreadable(results: CheckResults, path: object, error: BaseException) -> None:
    """An error of check ``tables`` for a file that cannot be read."""
    results.add_error("tables", str(path), f"unreadable: {describe_error(error)}")


def read_checked(
    results: CheckResults, root: Path, folder: Path, table: Table, keys: KeyRange, with_shape: bool = True
) -> pl.DataFrame | None:
    """The rows of a range, their shape checked too with `with_shape`; an error of check ``tables`` if unreadable."""
    path = folder / f"{keys.shard}.parquet"
    try:
        frame = read_range(root / folder, table, keys)
    except UNREADABLE as error:
        add_unreadable(results, path, error)
        return None
    if with_shape:
        check_shape(results, str(path), table, frame, keys.shard)
    return frame


def check_shape(results: CheckResults, path: str, table: Table, frame: pl.DataFrame, shard: str) -> None:
    """Rows must be sorted by the table's key, each key once, and lie in their own shard."""
    results.count("tables", frame.height)
    key = list(table.key)
    for row in frame.filter(pl.struct(key).is_duplicated()).iter_rows(named=True):
        results.add_error("tables", f"{path}: {name_row(row)}", f"key {key} is there twice")
    if not frame.select(key).equals(frame.select(key).sort(key)):
        results.add_error("tables", path, f"rows are not sorted by {key}")
    if shard != "all":
        for row in frame.filter(~pl.col("problem_id").str.starts_with(shard)).iter_rows(named=True):
            results.add_error("tables", f"{path}: {name_row(row)}", f"problem {row['problem_id']} is of another shard")


def check_parents(
    results: CheckResults, check: str, path: str, frame: pl.DataFrame, parents: pl.DataFrame, on: list[str], parent: str
) -> pl.DataFrame:
    """Name rows of `frame` that have no parent; return those that have one."""
    for row in frame.join(parents, on=on, how="anti", nulls_equal=True).iter_rows(named=True):
        results.add_error(check, f"{path}: {name_row(row)}", f"orphan: there is no such {parent}")
    return frame.join(parents.select(on), on=on, how="semi", maintain_order="left")


def check_equal(
    results: CheckResults, check: str, path: str, actual: pl.DataFrame, expected: pl.DataFrame, key: list[str], by: str
) -> None:
    """Name rows that differ between `actual` and `expected` (same columns), or stand in only one; `by` recomputed.

    Where more differ than are named, those in most columns come first: one changed label is a changed `first_error` in
    every row of its sample.
    """
    results.count(check, actual.height)
    for row in expected.join(actual, on=key, how="anti").iter_rows(named=True):
        results.add_error(check, f"{path}: {name_row(row)}", f"row is missing; {by} gives one")
    for row in actual.join(expected, on=key, how="anti").iter_rows(named=True):
        results.add_error(check, f"{path}: {name_row(row)}", f"row should not be; {by} gives none")
    columns = [name for name in actual.columns if name not in key]
    both = actual.join(expected, on=key, how="inner", suffix=" expected", maintain_order="left")
    num_different = pl.sum_horizontal(pl.col(name).ne_missing(pl.col(f"{name} expected")) for name in columns)
    different = both.filter(num_different > 0)
    if different.height > MAX_NAMED:
        different = different.sort(num_different, descending=True, maintain_order=True)
    for row in different.head(MAX_NAMED).iter_rows(named=True):
        differences = [
            f"{name} is {row[name]!r}, {by} gives {row[f'{name} expected']!r}"
            for name in columns
            if row[name] != row[f"{name} expected"]
        ]
        results.add_error(check, f"{path}: {name_row(row)}", "; ".join(differences))
    results.count_errors(check, max(different.height - MAX_NAMED, 0))


def name_row(row: dict[str, Any]) -> str:
    """A row by its ids."""
    if "sample_id" not in row:
        return f"problem {row['problem_id']}"
    step = f" step {row['step']}" if row.get("step", ALL_STEPS) != ALL_STEPS else ""
    reply = f" judge {row['judge_index']} vote {row['vote']} attempt {row['attempt']}" if "attempt" in row else ""
    return f"sample {row['sample_id']}{step}{reply}"
