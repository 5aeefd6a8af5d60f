"""Published tables on disk: Parquet that carries its `datasets` features, the same bytes for the same rows."""

from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import Table
from stages.common.tables.store import ROW_GROUP
from tools.publish.exported_round import ExportedRound
from tools.publish.formats import ExportFormat

_VALUES = {
    pl.String: "string",
    pl.Boolean: "bool",
    pl.Int32: "int32",
    pl.Int64: "int64",
    pl.Float64: "float64",
}


def get_value_type(dtype: Any) -> str:
    """The name of a plain type as `datasets` has it; raises `TypeError` for a type that no format uses."""
    for known, name in _VALUES.items():
        if dtype == known:
            return name
    raise TypeError(f"{dtype}: expected one of {', '.join(_VALUES.values())}, or lists and structs of them")


def make_feature(dtype: Any) -> Any:
    """The `datasets` feature of a polars type; raises `TypeError` for a type that no format uses."""
    from datasets import List, Value

    if isinstance(dtype, pl.List):
        return List(make_feature(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return {field.name: make_feature(field.dtype) for field in dtype.fields}
    return Value(get_value_type(dtype))


def describe_type(dtype: Any) -> str:
    """A type in words: ``string``, ``list of {start: int32, ...}``."""
    if isinstance(dtype, pl.List):
        return f"list of {describe_type(dtype.inner)}"
    if isinstance(dtype, pl.Struct):
        return "{" + ", ".join(f"{field.name}: {describe_type(field.dtype)}" for field in dtype.fields) + "}"
    return get_value_type(dtype)


def write_format(exported: ExportedRound, export_format: ExportFormat, folder: Path) -> int:
    """Write the rows of a format as ``00000.parquet``, ``00001.parquet``, ... into `folder`; return their number.

    A format without rows leaves no folder. Raises `ValueError` naming a column that does not fit.
    """
    columns = export_format.list_columns(exported.is_chat)
    num_rows = num_files = 0
    for frame in export_format.read_frames(exported):
        if frame.height:  # `datasets` fails on a file without rows
            _write_file(frame, Table(export_format.name, (), columns), folder / f"{num_files:05d}.parquet")
            num_files += 1
            num_rows += frame.height
    return num_rows


def _write_file(frame: pl.DataFrame, table: Table, path: Path) -> None:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
    from datasets import Features

    frame = table.check(frame.select(name for name in table.schema if name in frame.columns))
    schema = Features({column.name: make_feature(column.dtype) for column in table.columns}).arrow_schema
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        frame.to_arrow().cast(schema), path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP
    )
