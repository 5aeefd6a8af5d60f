"""Rows of the Hub's data sets and of JSON Lines, CSV and Parquet files; a bad row is an error of its own."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from stages.common.errors import UserError, describe_error
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
    """Rows of a JSON Lines, JSON, CSV or Parquet file in order; a bad row has an `error` and raises nothing.

    All but the last may be compressed (`.jsonl.gz`). A `.json` file holds an array, or else JSON Lines; a CSV file has
    a header, and all its values are text. Raises `UserError` for a missing file, another suffix, broken gzip, and a
    file that is not Parquet or an array that is not JSON.
    """
    readers = {
        ".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".json": _read_json, ".csv": _read_csv, ".parquet": _read_parquet
    }  # fmt: skip
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in readers or path.name.endswith(".parquet.gz"):
        raise UserError(f"{path}: expected a name that ends in {', '.join(readers)}, .jsonl.gz or .csv.gz")
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    # The name without its folder: the same file gives the same table in any folder.
    origin = f"{path.name} sha256:{compute_sha256(path)}"
    try:
        yield from readers[suffix](path, origin)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: broken gzip file ({error}); download or copy it again") from error


def read_hub(repo: str, name: str | None, revision: str, split: str, *, streaming: bool) -> Iterator[RawRow]:
    """Rows of one `split` of a Hub data set, `name` being its configuration; raise `UserError` for all that fails."""
    import datasets

    origin = " ".join([f"{repo}@{revision}", *([name] if name else []), split])
    row = 0
    try:
        rows = datasets.load_dataset(repo, name=name, revision=revision, split=split, streaming=streaming)
        for value in rows:
            yield RawRow(origin, row, f"{origin}, row {row}", value)
            row += 1
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:  # not found, no network, broken off
        reason = f"{type(error).__name__}: {describe_error(error)}"
        hint = "check its name and the network, or read a file of your own"
        raise UserError(f"{origin}: could not be read after row {row} ({reason}); {hint}") from error


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The location of each row and the row; raise `UserError` naming the first that is no object."""
    for row in read_file(path):
        if row.error is not None:
            raise UserError(f"{row.location}: {row.error}; correct or remove this row")
        if not isinstance(row.value, dict):
            raise UserError(f"{row.location}: expected an object, found {type(row.value).__name__}")
        yield row.location, row.value


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _read_jsonl(path: Path, origin: str) -> Iterator[RawRow]:
    with _open(path) as file:
        for row, line in enumerate(_read_lines(file)):
            value, error = parse_line(line)
            yield RawRow(origin, row, f"{path}:{row + 1}", value, error)


def _read_json(path: Path, origin: str) -> Iterator[RawRow]:
    with _open(path) as file:
        start = file.read(64).decode("utf-8-sig", "replace").lstrip()
        if not start.startswith("["):
            yield from _read_jsonl(path, origin)
            return
        file.seek(0)
        try:
            values = json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not a JSON array ({describe_error(error)}); correct it") from error
    for row, value in enumerate(values):
        yield RawRow(origin, row, f"{path}, row {row}", value)


def _read_csv(path: Path, origin: str) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    # What is not UTF-8 becomes lone surrogates, which whoever reads the row refuses.
    with io.TextIOWrapper(_open(path), "utf-8-sig", "surrogateescape", newline="") as text:
        rows = csv.DictReader(text)
        row = 0
        while True:
            value, error = None, None
            try:
                value = next(rows)
            except StopIteration:
                return
            except csv.Error:
                error = "not CSV"
            if value is not None and (None in value or None in value.values()):
                value, error = None, "more or fewer values than columns"
            yield RawRow(origin, row, f"{path}, row {row}", value, error)
            row += 1


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
