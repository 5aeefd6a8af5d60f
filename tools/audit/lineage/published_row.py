"""From a row of a published file back to what made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.provenance import file_sha256
from stages.common.text import shorten_for_terminal
from tools.audit.key_ranges import UNREADABLE
from tools.audit.lineage.screen_lines import BRIEF, WHOLE_TEXT
from tools.audit.lineage.show import show, show_sample
from tools.dvc_lock import read_lock

READERS: dict[str, Callable[[Path], pl.LazyFrame]] = {".parquet": pl.scan_parquet, ".jsonl": pl.scan_ndjson}
"""How files are read, by the end of their name."""

SAMPLES = ("sample_id", "chosen_sample_id", "rejected_sample_id")
"""Columns that lead to a sample."""


def show_row(root: Path, path: Path, number: int, only: str | None = None, whole: bool = False) -> list[str]:
    """Lines on row `number` (0-based) of a file with a column of ids, then on what made it: both samples of a pair.

    The file may lie anywhere: a row is followed by its ids, in the round that it names where it names one. Raises
    `FileNotFoundError` or `ValueError` naming the file.
    """
    row = _read(path, number)
    lines = [
        f"{path} row {number}, sha256 of the file {file_sha256(path)}",
        *_cells(row, WHOLE_TEXT if whole else BRIEF),
        "",
    ]
    samples = {name: row[name] for name in SAMPLES if isinstance(row.get(name), str)}
    if samples:
        told = row.get("round")
        only = only or (told if isinstance(told, str) else _round_of(root, path))
        for name, sample in samples.items():
            if name != "sample_id":
                lines.append(name)
            lines += show_sample(root, read_lock(root), sample, only, WHOLE_TEXT if whole else BRIEF)
            lines.append("")
        return lines[:-1]
    if isinstance(row.get("problem_id"), str):
        return lines + show(root, row["problem_id"], whole=whole)
    raise ValueError(f"{path}: row {number} has neither {', '.join(SAMPLES)} nor problem_id; columns are {list(row)}")


def _read(path: Path, number: int) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file that ends in {' or '.join(READERS)}")
    if number < 0:
        raise ValueError(f"row {number}: rows are counted from 0")
    try:
        rows = READERS[path.suffix](path)
        found = rows.slice(number, 1).collect()
        if found.is_empty():
            raise ValueError(
                f"{path}: has {rows.select(pl.len()).collect().item()} rows, counted from 0; no row {number}"
            )
    except UNREADABLE as error:
        raise ValueError(" ".join(str(error).split())) from error
    return dict(found.row(0, named=True))


def _cells(row: dict[str, Any], limit: int) -> Iterator[str]:
    width = max(map(len, row), default=0)
    for name, value in row.items():
        yield f"  {name:<{width}}  {shorten_for_terminal(value if isinstance(value, str) else repr(value), limit)}"


def _round_of(root: Path, path: Path) -> str | None:
    """The round of a file that lies where a stage wrote it, None for one that does not."""
    try:
        parts = path.resolve().relative_to(root.resolve()).parts
    except ValueError:
        return None
    return parts[2] if parts[:1] == ("data",) and parts[1:2] != ("evaluations",) and len(parts) > 3 else None
