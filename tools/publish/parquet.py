"""Published tables on disk: Parquet that says its own features, the same bytes for the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import Column, Table
from stages.common.tables.store import ROW_GROUP
from tools.publish.formats import Format
from tools.publish.rounds import Round

_VALUES = {
    pl.String: "string",
    pl.Boolean: "bool",
    pl.Int32: "int32",
    pl.Int64: "int64",
    pl.Float64: "float64",
}


def feature(dtype: Any) -> Any:
    """The `datasets` feature of a polars type; raises `TypeError` for a type that no format uses."""
    from datasets import List, Value

    if isinstance(dtype, pl.List):
        return List(feature(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return {field.name: feature(field.dtype) for field in dtype.fields}
    for known, name in _VALUES.items():
        if dtype == known:
            return Value(name)
    raise TypeError(f"{dtype}: no published column has this type")


def write_parts(of: Round, form: Format, folder: Path) -> int:
    """Write `form`'s rows as ``00000.parquet``, ``00001.parquet``, ... into `folder`; return how many rows.

    A form without rows leaves no folder. Raises `ValueError` naming a column that does not fit.
    """
    columns = form.columns(of.chat)
    rows = files = 0
    for part in form.parts(of):
        if part.height:  # `datasets` fails on a file without rows
            _write(part, Table(form.name, (), columns), folder / f"{files:05d}.parquet")
            files += 1
            rows += part.height
    return rows


def _write(frame: pl.DataFrame, table: Table, path: Path) -> None:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
    from datasets import Features

    frame = table.check(frame.select(name for name in table.schema if name in frame.columns))
    schema = Features({column.name: feature(column.dtype) for column in table.columns}).arrow_schema
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        frame.to_arrow().cast(schema), path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP
    )


def column_types(columns: tuple[Column, ...]) -> dict[str, str]:
    """``{column: its type as a person reads it}``."""
    return {column.name: type_name(column.dtype) for column in columns}


def type_name(dtype: Any) -> str:
    """A type in words: ``string``, ``list of {start: int32, ...}``."""
    if isinstance(dtype, pl.List):
        return f"list of {type_name(dtype.inner)}"
    if isinstance(dtype, pl.Struct):
        return "{" + ", ".join(f"{field.name}: {type_name(field.dtype)}" for field in dtype.fields) + "}"
    return next(name for known, name in _VALUES.items() if dtype == known)
