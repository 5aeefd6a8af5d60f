"""Croissant: the data set described for machines, as JSON-LD with a record set per configuration.

Vocabulary: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, version 1.1. References and joined fields
name their target under `field`, as mlcroissant 1.1.1 reads them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import Column
from tools.publish.croissant_provenance import annotate_label
from tools.publish.parquet_files import get_value_type

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

CONTEXT_PATH = Path(__file__).with_name("croissant_context.json")
"""The vocabulary's own JSON-LD context, version 1.1, and the prefixes of PROV-O and RDFS."""

_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float64": "sc:Float",
}

_REPOSITORY = "repo"

JOINED = ("origin", "origin_row")
"""Fields of `labels` that every record set that refers to it has, too."""


@dataclass(frozen=True)
class RecordSet:
    """Rows of one format of a round: the files that hold them (a glob within the repository) and their columns."""

    round: str
    format: str
    description: str
    files: str
    columns: tuple[Column, ...]
    judging: dict[str, Any]
    """How the round's steps were labelled, see `describe_judging`."""

    @property
    def name(self) -> str:
        return f"{self.round}-{self.format}"


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
    by_name = {records.name: records for records in record_sets}
    return {
        "@context": json.loads(CONTEXT_PATH.read_text(encoding="utf-8")),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        **properties,
        "distribution": [repository, *map(_describe_files, record_sets)],
        "recordSet": [_describe_records(records, by_name) for records in record_sets],
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


def _describe_records(records: RecordSet, by_name: Mapping[str, RecordSet]) -> dict[str, Any]:
    """A record set with its columns as fields, where each label has its provenance.

    Ids of samples refer to the round's `labels`, from which the fields `JOINED` are brought in.
    """
    fields = [_describe_field(records.name, column) for column in records.columns]
    described = {
        "@type": "cr:RecordSet",
        "@id": records.name,
        "name": records.name,
        "description": records.description,
        "field": fields,
    }
    labels = by_name.get(f"{records.round}-labels")
    if labels is None:
        return described
    label_fields = {
        field["@id"].partition("/")[2]: field
        for field in _list_leaves([_describe_field(labels.name, column) for column in labels.columns])
    }
    known = label_fields | {field["@id"].partition("/")[2]: dict(field) for field in _list_leaves(fields)}
    for field in _list_leaves(fields):
        if annotations := annotate_label(field, records.format, known, records.judging):
            field["annotation"] = annotations
    sample_id = {"@id": label_fields["sample_id"]["@id"]}
    if records is labels:
        return {**described, "key": sample_id}
    references = [field for field in fields if field["name"].endswith("sample_id")]
    for field in references:
        field["references"] = {"field": sample_id}
    for joined in [label_fields[name] for name in JOINED] if references else []:
        source = {"source": {"field": {"@id": joined["@id"]}}}
        fields.append({**joined, "@id": f"{records.name}/{joined['name']}", **source})
    return described


def _list_leaves(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [leaf for field in fields for leaf in _list_leaves(field.get("subField", [])) or [field]]


def _describe_field(records: str, column: Column) -> dict[str, Any]:
    is_list = isinstance(column.dtype, pl.List)
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
    source = {"fileSet": {"@id": f"files-{records}"}, "extract": {"column": column.name}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        "description": column.meaning,
        **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
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
