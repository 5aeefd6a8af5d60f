"""The Croissant metadata: official validation and loading, joins, and the provenance of every label by PROV-O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlcroissant
import polars as pl
import pytest
import rdflib
from rdflib.namespace import PROV, RDF, RDFS

from stages.common.human_labels import append_human_labels, hash_steps
from tests.support.human_labels import human_label
from tests.support.publish_place import make_place
from tools.publish import Commit, write_dataset
from tools.publish.croissant import JOINED

COMMIT = Commit("c0ffee" * 6 + "c0ff", "2026-01-02", "https://example.org/project.git")

LABELS = {
    ("labels", "steps/label"): ("judging", "step"),
    ("step_kto", "steps/label"): ("judging", "step"),
    ("stepwise", "labels"): ("judging", "step"),
    ("labels", "is_correct"): ("verification", "sample"),
    ("kto", "label"): ("verification", "sample"),
    ("step_kto", "label"): ("verification", "sample"),
    ("human_labels", "label"): ("labelling", "labelled_step"),
}
"""Every published field that is a label, and what its provenance is called."""


@pytest.fixture(scope="module", params=["text", "chat", "rule"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = make_place(
        tmp_path_factory.mktemp("place"), problems=6, chat=request.param == "chat", served=request.param != "rule"
    )
    out, people = tmp_path_factory.mktemp("out"), place / "people.jsonl"
    sample = pl.read_parquet(place / "data/samples/M1/*.parquet").row(0, named=True)
    ids = {key: sample[key] for key in ("sample_id", "problem_id")}
    hashes = hash_steps(*(pl.read_parquet(place / "data" / name / "M1/*.parquet") for name in ("samples", "steps")))
    append_human_labels(people, [human_label(round="M1", text_hash=hashes[ids["sample_id"]][0], **ids)])
    write_dataset(["M1"], "org/sums", COMMIT, out, place, with_reasoning=True, human_labels=people)
    return out


@pytest.fixture(scope="module")
def metadata(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    return loaded


def load(metadata: Any, folder: Path) -> mlcroissant.Dataset:
    return mlcroissant.Dataset(jsonld=metadata, mapping={"repo": folder})


def read(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / f"data/M1/{name}/*.parquet")


def decode(value: Any) -> Any:
    """A value of a record: text is bytes, and fields have their whole ids."""
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: decode(each) for key, each in value.items()}
    if isinstance(value, list):
        return [decode(each) for each in value]
    return value.decode("utf-8") if isinstance(value, bytes) else value


def iterate_fields(fields: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for field in fields:
        yield field
        yield from iterate_fields(field.get("subField", []))


def fields_of(metadata: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    [records] = [records for records in metadata["recordSet"] if records["name"] == f"M1-{name}"]
    return {field["@id"].partition("/")[2]: field for field in iterate_fields(records["field"])}


def test_the_official_validator_finds_nothing_to_say(metadata: dict[str, Any], folder: Path) -> None:
    dataset = load(str(folder / "croissant.json"), folder)
    assert dataset.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    assert {records.uuid for records in dataset.metadata.record_sets} == {
        f"M1-{path.name}" for path in (folder / "data/M1").iterdir()
    }


def test_the_official_validator_refuses_a_reference_to_nothing(metadata: dict[str, Any], folder: Path) -> None:
    broken = json.loads(json.dumps(metadata).replace('"@id": "M1-labels/sample_id"', '"@id": "M1-labels/sample"', 1))
    assert broken != metadata
    with pytest.raises(Exception, match="M1-labels/sample"):
        list(load(broken, folder).records("M1-kto"))


def test_records_are_the_rows_and_join_with_their_source_rows(folder: Path) -> None:
    dataset = load(str(folder / "croissant.json"), folder)
    sources = read(folder, "labels").select("sample_id", *JOINED)
    for path in (folder / "data/M1").iterdir():
        rows = read(folder, path.name)
        if path.name != "labels":
            key = next(name for name in rows.columns if name.endswith("sample_id"))
            rows = rows.join(sources, left_on=key, right_on="sample_id", how="left", maintain_order="left")
        records = [decode(record) for record in dataset.records(f"M1-{path.name}")]
        assert len(records) == rows.height > 0
        for record, row in zip(records, rows.iter_rows(named=True), strict=True):
            assert set(record) == set(row)
            assert all(record[name] == row[name] or (record[name] is None and not row[name]) for name in row), record


@pytest.mark.parametrize("label", list(LABELS), ids="/".join)
def test_every_label_says_what_it_was_generated_by_and_derived_from(
    metadata: dict[str, Any], folder: Path, label: tuple[str, str]
) -> None:
    lineage = fields_of(metadata, "labels")
    written = read(folder, "labels").filter(pl.col("steps").list.len() > 0)
    generated, derived = fields_of(metadata, label[0])[label[1]]["annotation"]
    assert (generated["name"], derived["name"]) == LABELS[label]
    assert (generated["equivalentProperty"], derived["equivalentProperty"]) == (
        "prov:wasGeneratedBy",
        "prov:wasDerivedFrom",
    )
    for part in (*generated["subField"], *derived["subField"]):
        source, rows = part["source"], read(folder, label[0])
        if "field" in source:
            assert label[0] != "labels"
            source, rows = lineage[source["field"]["@id"].partition("/")[2]]["source"], written
        elif label[0] == "labels":
            rows = written
        column, path = source["extract"]["column"], source.get("transform", {}).get("jsonPath")
        values = rows[column].explode().struct.field(path) if path else rows[column]
        is_open = part["name"].startswith("votes_") or part["name"] in ("extraction_rule", "final_answer")
        assert is_open or not values.null_count(), part["@id"]
    names = {part["name"] for part in derived["subField"]}
    assert names >= {"sample_id", "problem_id", "origin", "origin_row"}
    if generated["name"] == "judging":
        names = {part["name"] for part in generated["subField"]}
        assert names >= {"judge", "judge_models", "judge_prompts", "num_votes", "votes_correct", "agreement"}
        is_served = (folder / "data/M1/replies").is_dir()
        assert generated.get("prov:used") == ({"@id": "M1-replies"} if is_served else None)
        [agent] = generated["prov:wasAssociatedWith"]
        assert agent["@type"] == "prov:SoftwareAgent"
        [prompt] = written["judge_prompts"].list.join("").unique()
        assert agent["rdfs:label"] == (f"m with prompt {prompt}" if is_served else judge_description(folder))


def judge_description(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["rounds"]["M1"]["judge"]["description"])


def test_other_fields_have_no_provenance_of_their_own(metadata: dict[str, Any]) -> None:
    annotated = {
        (records["name"].removeprefix("M1-"), field["@id"].partition("/")[2])
        for records in metadata["recordSet"]
        for field in iterate_fields(records["field"])
        if "annotation" in field
    }
    assert annotated == set(LABELS)


def test_the_example_of_the_docs_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("docs/publishing.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(import mlcroissant\n.*?)```", text, re.DOTALL)
    exec(example.replace("/tmp/look", str(folder)).replace("M2", "M1"), {})
    assert "M1-kto/origin_row" in capsys.readouterr().out


def test_its_provenance_is_prov_o_in_rdf(metadata: dict[str, Any]) -> None:
    graph = rdflib.Graph().parse(data=json.dumps(metadata), format="json-ld")
    [dataset] = graph.subjects(RDF.type, rdflib.URIRef("https://schema.org/Dataset"))
    sources = [str(graph.value(each, RDFS.label)) for each in graph.objects(dataset, PROV.wasDerivedFrom)]
    assert sources == ["sums train"]
    assert COMMIT.id in str(graph.value(graph.value(dataset, PROV.wasGeneratedBy), RDFS.label))
    assert list(graph.subjects(RDF.type, PROV.SoftwareAgent))
    written = {str(term) for triple in graph for term in triple if isinstance(term, rdflib.URIRef)}
    equivalent = graph.objects(None, rdflib.URIRef("http://mlcommons.org/croissant/equivalentProperty"))
    terms = {term.removeprefix(str(PROV)) for term in written if term.startswith(str(PROV))}
    terms |= {str(term).removeprefix("prov:") for term in equivalent}
    assert {"Activity", "Entity", "SoftwareAgent", "wasGeneratedBy", "wasDerivedFrom", "used"} <= terms
    assert all(term in PROV for term in terms), terms
