"""Croissant: the data set described for machines, as JSON-LD with a record set per configuration.

Vocabulary: https://docs.mlcommons.org/croissant/docs/croissant-spec.html, version 1.0.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import Column
from tools.publish.parquet_files import get_value_type

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

CONTEXT_PATH = Path(__file__).with_name("croissant_context.json")
"""The vocabulary's own JSON-LD context, version 1.0."""

_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float64": "sc:Float",
}

_REPOSITORY = "repo"


@dataclass(frozen=True)
class RecordSet:
    """Rows of one kind: the files that hold them (a glob within the repository) and their columns."""

    name: str
    description: str
    files: str
    columns: tuple[Column, ...]


def build_croissant(properties: dict[str, Any], url: str, record_sets: list[RecordSet]) -> dict[str, Any]:
    """The JSON-LD of the repository at `url`; `properties` are those of the data set (name, description, ...)."""
    repository = {
        "@type": "cr:FileObject",
        "@id": _REPOSITORY,
        "name": _REPOSITORY,
        "description": "The repository.",
        "contentUrl": url,
        "encodingFormat": "git+https",
        # The vocabulary requires a hash and a repository has none; the Hub itself writes this here.
        "sha256": "https://github.com/mlcommons/croissant/issues/80",
    }
    return {
        "@context": json.loads(CONTEXT_PATH.read_text(encoding="utf-8")),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        **properties,
        "distribution": [repository, *map(_describe_files, record_sets)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": records.name,
                "name": records.name,
                "description": records.description,
                "field": [_describe_field(records.name, column) for column in records.columns],
            }
            for records in record_sets
        ],
    }


def _describe_files(records: RecordSet) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{records.name}",
        "name": f"files-{records.name}",
        "containedIn": {"@id": _REPOSITORY},
        "encodingFormat": "application/x-parquet",
        "includes": records.files,
    }


def _describe_field(records: str, column: Column) -> dict[str, Any]:
    is_list = isinstance(column.dtype, pl.List)
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
    source = {"fileSet": {"@id": f"files-{records}"}, "extract": {"column": column.name}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        "description": column.meaning,
        **({"repeated": True} if is_list else {}),
    }
    if not isinstance(inner, pl.Struct):
        return {**field, "dataType": _TYPES[get_value_type(inner)], "source": source}
    return {
        **field,
        "subField": [
            {
                "@type": "cr:Field",
                "@id": f"{records}/{column.name}/{part.name}",
                "name": part.name,
                "dataType": _TYPES[get_value_type(part.dtype)],
                "source": {**source, "transform": {"jsonPath": part.name}},
            }
            for part in inner.fields
        ],
    }
