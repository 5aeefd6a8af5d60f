"""Croissant: the data set described for machines, as JSON-LD with a record set per configuration.

Vocabulary: https://docs.mlcommons.org/croissant/docs/croissant-spec.html, version 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common.tables import Column

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "samplingRate": "cr:samplingRate",
    "rai": "http://mlcommons.org/croissant/RAI/",
}

_TYPES = {
    pl.String: "sc:Text",
    pl.Boolean: "sc:Boolean",
    pl.Int32: "sc:Integer",
    pl.Int64: "sc:Integer",
    pl.Float64: "sc:Float",
}

_REPO = "repo"


@dataclass(frozen=True)
class RecordSet:
    """Rows of one kind: the files that hold them (a glob within the repository) and their columns."""

    name: str
    description: str
    files: str
    columns: tuple[Column, ...]


def croissant(about: dict[str, Any], address: str, record_sets: list[RecordSet]) -> dict[str, Any]:
    """The JSON-LD of the repository at `address`; `about` (name, description, url, license, ...) is merged in."""
    repository = {
        "@type": "cr:FileObject",
        "@id": _REPO,
        "name": _REPO,
        "description": "The repository.",
        "contentUrl": address,
        "encodingFormat": "git+https",
        # The vocabulary asks for a hash and a repository has none; this is what the Hub itself writes here.
        "sha256": "https://github.com/mlcommons/croissant/issues/80",
    }
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        **about,
        "distribution": [repository, *(_files(records) for records in record_sets)],
        "recordSet": [_records(records) for records in record_sets],
    }


def _files(records: RecordSet) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{records.name}",
        "name": f"files-{records.name}",
        "containedIn": {"@id": _REPO},
        "encodingFormat": "application/x-parquet",
        "includes": records.files,
    }


def _records(records: RecordSet) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": records.name,
        "name": records.name,
        "description": records.description,
        "field": [_field(records.name, column) for column in records.columns],
    }


def _field(records: str, column: Column) -> dict[str, Any]:
    repeated = isinstance(column.dtype, pl.List)
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        "description": column.meaning,
    }
    source = {"fileSet": {"@id": f"files-{records}"}, "extract": {"column": column.name}}
    if repeated:
        field["repeated"] = True
    if isinstance(inner, pl.Struct):
        field["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{records}/{column.name}/{part.name}",
                "name": part.name,
                "dataType": _type(part.dtype),
                "source": {**source, "transform": {"jsonPath": part.name}},
            }
            for part in inner.fields
        ]
    else:
        field |= {"dataType": _type(inner), "source": source}
    return field


def _type(dtype: Any) -> str:
    return next(name for known, name in _TYPES.items() if dtype == known)
