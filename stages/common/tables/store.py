"""Tables on disk: Parquet shards by hash prefix, the same bytes for the same rows, either complete or absent."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.tables.schema import Table

ROW_GROUP = 65_536
"""Rows per parquet row group: fixed, since the writer's default depends on the machine's thread count."""


@contextmanager
def replace_dir(out: Path) -> Iterator[Path]:
    """A temporary directory that becomes `out` when the block ends without error: `out` is complete or absent."""
    check_replaceable(out, is_folder=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_remains(out)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.{os.getpid()}.", dir=out.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path, is_folder: bool = False) -> None:
    """Refuse to put a file, or a folder, in the place of anything else, such as a device: raises `UserError`."""
    expected, found = ("folder", path.is_dir()) if is_folder else ("regular file", path.is_file())
    if os.path.lexists(path) and not found:
        raise UserError(f"{path}: this is no {expected}; name another output, or remove it first")


def _remove_remains(out: Path) -> None:
    """Remove what killed processes left of `out` beside it: it takes space, and DVC would count it to the folder."""
    prefix = f".{out.name}."
    for path in out.parent.iterdir():
        owner = path.name.removeprefix(prefix).partition(".")[0] if path.name.startswith(prefix) else ""
        if owner.isdecimal() and not _is_running(int(owner)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def list_shards(digits: int) -> list[str]:
    """Names of all shards, the first `digits` hex digits of their problem ids; one shard `all` for 0."""
    if digits == 0:
        return ["all"]
    return [f"{number:0{digits}x}" for number in range(16**digits)]


class ShardWriter:
    """Writes the shards of `table` into `folder`, one call per shard, each sorted by the table's key."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.folder = folder
        self.table = table
        self.rows = 0

    def write(self, shard: str, frame: pl.DataFrame) -> None:
        """Write one shard; raise `ValueError` for an invalid column or a duplicate key."""
        frame = self.table.check(frame).sort(self.table.key)
        if frame.select(self.table.key).is_duplicated().any():
            raise ValueError(f"table {self.table.name}, shard {shard}: two rows share a key {self.table.key}")
        self.folder.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(
            self.folder / f"{shard}.parquet", compression="zstd", compression_level=3, row_group_size=ROW_GROUP
        )
        self.rows += frame.height


def write_table(folder: Path, table: Table, frame: pl.DataFrame, digits: int) -> int:
    """Write `frame` into `folder`, sharded by the first `digits` hex digits of problem_id; return the rows written.

    Raises `ValueError` for an invalid column, a duplicate key, or a problem_id that is no hex number.
    """
    writer = ShardWriter(folder, table)
    for shard in list_shards(digits):
        part = frame if digits == 0 else frame.filter(pl.col("problem_id").str.starts_with(shard))
        writer.write(shard, part)
    if writer.rows != frame.height:
        raise ValueError(f"table {table.name}: {frame.height - writer.rows} rows have a problem_id that fits no shard")
    return writer.rows


def read_shard(folder: Path, table: Table, shard: str) -> pl.DataFrame:
    """Read one shard; raise `UserError` naming a file that is missing or damaged."""
    path = folder / f"{shard}.parquet"
    if not path.is_file():
        raise UserError(f"{path}: no such shard of table {table.name}")
    try:
        return table.check(pl.read_parquet(path))
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: {error}") from error


def read_table(folder: Path, table: Table, digits: int) -> pl.DataFrame:
    """Read all shards, in the order of their names."""
    return pl.concat([read_shard(folder, table, shard) for shard in list_shards(digits)])


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented JSON with a closing newline; the file is written completely or not at all."""
    check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_remains(path)
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(text.encode("utf-8"))
    temporary.replace(path)
