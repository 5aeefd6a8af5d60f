"""From a row of a published file back to what made it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError, describe_error
from stages.common.provenance import compute_sha256
from stages.common.text import shorten_for_terminal
from tools.audit.key_ranges import UNREADABLE
from tools.audit.lineage.show import get_max_chars, show, show_sample
from tools.dvc_lock import read_lock

READERS: dict[str, Callable[[Path], pl.LazyFrame]] = {".parquet": pl.scan_parquet, ".jsonl": pl.scan_ndjson}
"""How files are read, by the end of their name."""

SAMPLE_COLUMNS = ("sample_id", "chosen_sample_id", "rejected_sample_id")
"""Columns that lead to a sample."""


def show_row(
    root: Path, path: Path, number: int, round_name: str | None = None, with_whole_text: bool = False
) -> list[str]:
    """Lines on row `number` (0-based) of a file with a column of ids, then on what made it: both samples of a pair.

    The file may lie anywhere: a row is followed by its ids, in the round that it names where it names one. Raises
    `FileNotFoundError` or `UserError` naming the file.
    """
    row = _read_row(path, number)
    limit = get_max_chars(with_whole_text)
    lines = [f"{path} row {number}, sha256 of the file {compute_sha256(path)}", *_format_cells(row, limit), ""]
    samples = {name: row[name] for name in SAMPLE_COLUMNS if isinstance(row.get(name), str)}
    if samples:
        named = row.get("round")
        round_name = round_name or (named if isinstance(named, str) else _find_round(root, path))
        for name, sample in samples.items():
            lines += [name] if name != "sample_id" else []
            lines += [*show_sample(root, read_lock(root), sample, round_name, limit), ""]
        return lines[:-1]
    if isinstance(row.get("problem_id"), str):
        return lines + show(root, row["problem_id"], with_whole_text=with_whole_text)
    columns = ", ".join(SAMPLE_COLUMNS)
    raise UserError(f"{path}: row {number} has neither {columns} nor problem_id; columns are {list(row)}")


def _read_row(path: Path, number: int) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    if path.suffix not in READERS:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(READERS)}")
    if number < 0:
        raise UserError(f"row {number}: rows are counted from 0")
    try:
        rows = READERS[path.suffix](path)
        found = rows.slice(number, 1).collect()
        height = rows.select(pl.len()).collect().item() if found.is_empty() else None
    except UNREADABLE as error:
        raise UserError(f"{path}: unreadable ({describe_error(error)}); download or write it again") from error
    if height is not None:
        raise UserError(f"{path}: has {height} rows, counted from 0; no row {number}")
    return dict(found.row(0, named=True))


def _format_cells(row: dict[str, Any], limit: int) -> Iterator[str]:
    width = max(map(len, row), default=0)
    for name, value in row.items():
        text = value if isinstance(value, str) else repr(value)
        yield f"  {name:<{width}}  {shorten_for_terminal(text, limit)}"


def _find_round(root: Path, path: Path) -> str | None:
    """The round of a file that lies where a stage wrote it, None for one that does not."""
    try:
        names = path.resolve().relative_to(root.resolve()).parts
    except ValueError:
        return None
    return names[2] if names[:1] == ("data",) and names[1:2] != ("evaluations",) and len(names) > 3 else None
