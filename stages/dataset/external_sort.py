"""External sort: rows that arrive shard by shard are written in another order with constant memory."""

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
    """Takes rows in any order and writes them by their `POSITION`; a context manager around the calls of `add`.

    Rows are kept in `folder`, one file per `ROW_GROUP` positions, so that only that many are sorted at a time.
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
                self._writers[part] = pa.ipc.new_file(self._locate(part), table.schema)
            self._writers[part].write_table(table)

    def write(self, files: dict[Path, Sequence[str]]) -> None:
        """Write all rows in order into each of `files`, with the columns named there; after the context has ended.

        Each part is one row group; memory holds one.
        """
        with ExitStack() as stack:
            writers: dict[Path, pq.ParquetWriter] = {}
            for part in sorted(self._writers):
                rows = pl.read_ipc(self._locate(part)).sort(POSITION)
                self._locate(part).unlink()
                for path, columns in files.items():
                    table = rows.select(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
                    if path not in writers:
                        writers[path] = stack.enter_context(open_writer(path, table.schema))
                    writers[path].write_table(table, row_group_size=ROW_GROUP)

    def _locate(self, part: int) -> Path:
        return self.folder / f"part-{part:06d}.arrow"


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of Parquet files that are the same for the same rows, whoever reads them."""
    # Without Arrow's schema, which would make readers use this writer's types of strings and lists.
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, store_schema=False)
