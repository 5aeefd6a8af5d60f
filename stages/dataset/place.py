"""Rows that come shard by shard, written in another order: sorted part by part on disk, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from stages.records.store import ROW_GROUP

PLACE = "place"
"""Column with a row's 0-based position in the files to be written."""


class Placer:
    """Takes rows in any order and writes them by their `PLACE`; use as a context manager around `add`.

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
        """Keep `rows`, which have a column `PLACE`, for `write`."""
        marked = rows.with_columns(_part=pl.col(PLACE) // ROW_GROUP)
        for group in marked.partition_by("_part"):
            part, table = group["_part"][0], group.drop("_part").to_arrow()
            if part not in self._writers:
                self._writers[part] = pa.ipc.new_file(self._path(part, "in"), table.schema)
            self._writers[part].write_table(table)

    def write(self, files: dict[Path, Sequence[str]]) -> None:
        """Write all rows in order into each of `files`, with the columns named there; after the context has ended."""
        for part in self._writers:
            pl.read_ipc(self._path(part, "in")).sort(PLACE).write_ipc(self._path(part, "out"))
            self._path(part, "in").unlink()
        ordered = [self._path(part, "out") for part in sorted(self._writers)]
        for path, columns in files.items():
            pl.scan_ipc(ordered).select(columns).sink_parquet(
                path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP
            )

    def _path(self, part: int, state: str) -> Path:
        return self.folder / f"part-{part:06d}.{state}.arrow"
