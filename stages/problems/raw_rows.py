"""Raw rows as they come from any reader, and tolerant readers of JSON Lines and Parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stages.common.errors import UserError
from stages.common.provenance import compute_sha256

MAX_LINE_BYTES = 16 * 2**20
"""Longest line held in memory; a longer one is dropped without being read whole."""


@dataclass(frozen=True)
class RawRow:
    """One row before any check: `value` as parsed (any JSON type), or `error`, the reason why there is none."""

    origin: str
    row: int
    """0-based row in `origin`; of a JSON Lines file, its line."""
    location: str
    """The row as a reader finds it: file and 1-based line, or origin and row."""
    value: Any = None
    error: str | None = None
    split: str | None = None
    """Split given by the reader, null where the rows are split afterwards."""


def read_file(path: Path) -> Iterator[RawRow]:
    """Rows of a JSON Lines (.jsonl) or Parquet (.parquet) file, in order; a bad row has an `error` and raises nothing.

    Raises `UserError` for a missing file, another suffix or a file that is not Parquet.
    """
    readers = {".jsonl": _read_jsonl, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(readers)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    # The name without its folder: the same file gives the same table in any folder.
    origin = f"{path.name} sha256:{compute_sha256(path)}"
    return readers[path.suffix](path, origin)


def _read_jsonl(path: Path, origin: str) -> Iterator[RawRow]:
    with path.open("rb") as file:
        for row, line in enumerate(_read_lines(file)):
            value, error = parse_line(line)
            yield RawRow(origin, row, f"{path}:{row + 1}", value, error)


def _read_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines of `file`, None for one longer than `MAX_LINE_BYTES`, of which at most that many bytes are held."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)
        yield None


def parse_line(line: bytes | None) -> tuple[Any, str | None]:
    """The JSON value of a line and None, or None and the error; raises nothing, whatever the bytes are."""
    if line is None:
        return None, "line too long"
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None, "not UTF-8"
    if not text.strip():
        return None, "blank line"
    try:
        return json.loads(text), None
    except (ValueError, RecursionError):  # ValueError also covers an integer of more digits than Python converts
        return None, "not JSON"


def _read_parquet(path: Path, origin: str) -> Iterator[RawRow]:
    import pyarrow  # type: ignore[import-untyped]  # ships no types
    from pyarrow import parquet

    row = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for value, error in _read_batch(batch):
                    yield RawRow(origin, row, f"{path}, row {row}", value, error)
                    row += 1
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not readable as Parquet after row {row} ({error})") from error


def _read_batch(batch: Any) -> Iterator[tuple[Any, str | None]]:
    try:
        yield from ((value, None) for value in batch.to_pylist())
    except UnicodeDecodeError:  # raised before the first row is given; now find the bad rows
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0], None
            except UnicodeDecodeError:
                yield None, "not UTF-8"
