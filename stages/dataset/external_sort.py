"""Rows that come shard by shard, written in another order: sorted part by part on disk, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from stages.common.tables.store import ROW_GROUP

POSITION = "place"
"""Column with a row's 0-based position in the files to be written."""


class ExternalSort:
    """Takes rows in any order and writes them by their `POSITION`; use as a context manager around `add`.

    Rows wait in `folder`, one file for each `ROW_GROUP` places, hence no more than that many are sorted at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[int, pa.RecordBatchFileWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, rows: pl.DataFrame) -> None:
        """Keep `rows`, which have a column `POSITION`, for `write`."""
        marked = rows.with_columns(_part=pl.col(POSITION) // ROW_GROUP)
        for group in marked.partition_by("_part"):
            part, table = group["_part"][0], group.drop("_part").to_arrow()
            if part not in self._writers:
                self._writers[part] = pa.ipc.new_file(self._path(part), table.schema)
            self._writers[part].write_table(table)

    def write(self, files: dict[Path, Sequence[str]]) -> None:
        """Write all rows in order into each of `files`, with the columns named there; after the context has ended.

        A part is a row group, and one is held at a time.
        """
        with ExitStack() as stack:
            writers: dict[Path, pq.ParquetWriter] = {}
            for part in sorted(self._writers):
                rows = pl.read_ipc(self._path(part)).sort(POSITION)
                self._path(part).unlink()
                for path, columns in files.items():
                    table = rows.select(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
                    if path not in writers:
                        writers[path] = stack.enter_context(_writer(path, table.schema))
                    writers[path].write_table(table, row_group_size=ROW_GROUP)

    def _path(self, part: int) -> Path:
        return self.folder / f"part-{part:06d}.arrow"


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Without Arrow's own notes on types, which would tell readers of this writer's kinds of strings and lists.
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, store_schema=False)
