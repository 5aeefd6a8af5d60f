"""Labels found wrong become unknown in the data set, are counted, and a list that cannot be used is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.dataset import DatasetParams
from stages.common.params.sample import PromptParams
from stages.common.params.select import SelectParams
from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, SELECTION, STEP, read_table
from stages.dataset.__main__ import build as build_stage
from stages.dataset.retractions import RETRACTION, read_retractions
from stages.dataset.round_tables import RoundTables
from stages.dataset.training_files import build_dataset
from tests.support.clones import edit
from tests.support.publish_place import make_place
from tests.unit.test_dataset import write_round
from tools.audit.check_results import CheckResults
from tools.audit.table_sets import DatasetSelection, TableSet
from tools.audit.verify.dataset_checks import COLUMNS, check_dataset, hash_file_rows, select_rows
from tools.audit.verify.row_checks import RangeRows
from tools.publish.preconditions import Commit
from tools.publish.publish_folder import write_dataset

EVERYTHING = SelectParams(max_correct=None, max_incorrect=None, require_both=False, balance=False, deduplicate=False)
COMMIT = Commit("c0ffee" * 6 + "c0ff", "2026-01-02", None)
PROMPT = PromptParams(chat=False, system=None, template="{problem}")


@pytest.fixture
def inputs(tmp_path: Path) -> RoundTables:
    """A problem with two samples of two steps: correct and incorrect each."""
    samples = ["s0", "s1"]
    text = "one.two."
    return write_round(
        tmp_path,
        {
            "problems": [("p0", "train", "s", "What?", "sol", "1", "here", 0, "math")],
            "samples": [
                (s, "p0", "policy", "hash", at, 1, text, "stop", 3, 3, None, None) for at, s in enumerate(samples)
            ],
            "outcomes": [(s, "p0", "1", "box", s == "s0", "same text", "v") for s in samples],
            "steps": [(s, "p0", at, 4 * at, 4 * at + 4) for s in samples for at in range(2)],
            "labels": [(s, "p0", at, at == 0, "why", 1, 1.0, 1, "judge") for s in samples for at in range(2)],
        },
        EVERYTHING,
        0,
    )


def write_list(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def retract(step: Any, sample_id: Any = "s0", **cells: Any) -> dict[str, Any]:
    return {"sample_id": sample_id, "step": step, "reason": "the sum is correct", "who": "Ann"} | cells


def read_labels(folder: Path) -> dict[str, list[bool | None]]:
    rows = pl.read_parquet(folder / "step_kto.parquet")
    return {row["sample_id"]: [step["label"] for step in row["steps"]] for row in rows.iter_rows(named=True)}


def build(inputs: RoundTables, retracted: str | None, out: Path) -> dict[str, Any]:
    out.mkdir()
    return build_dataset(inputs, DatasetParams(kl_block_size=2, retracted=retracted), PROMPT, 1, 0, out)


def test_a_retracted_label_is_unknown_and_counted(inputs: RoundTables, tmp_path: Path) -> None:
    before = build(inputs, None, tmp_path / "before")
    path = write_list(tmp_path / "wrong.jsonl", retract(1), retract(0, "another round's"))
    after = build(inputs, path, tmp_path / "after")
    assert read_labels(tmp_path / "before") == {"s0": [True, False], "s1": [True, False]}
    assert read_labels(tmp_path / "after") == {"s0": [True, None], "s1": [True, False]}
    assert "retracted" not in before
    assert after["retracted"] == {"the sum is correct": 1}
    assert json.loads((tmp_path / "after/manifest.json").read_text())["retracted"] == after["retracted"]
    assert after["labels"]["after"]["step"] == {"correct": 2, "incorrect": 1, "unknown": 1}


def test_an_empty_list_changes_no_row(inputs: RoundTables, tmp_path: Path) -> None:
    hashes = [
        build(inputs, path, tmp_path / str(at))["hash"]
        for at, path in enumerate([None, write_list(tmp_path / "wrong.jsonl")])
    ]
    assert hashes[0] == hashes[1]


def test_a_step_that_the_sample_does_not_have_is_named(inputs: RoundTables, tmp_path: Path) -> None:
    path = write_list(tmp_path / "wrong.jsonl", retract(2))
    with pytest.raises(UserError, match=r"wrong\.jsonl: sample s0: expected one of its 2 steps.*found step 2"):
        build(inputs, path, tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", r"line 1: expected an object of JSON, found '\{'"),
        ("[]", "expected the keys sample_id, step, reason, who, found list"),
        (json.dumps({"sample_id": "s0", "step": 1}), r"found \['sample_id', 'step'\]"),
        (json.dumps(retract(-1)), "step: expected a step counted from 0, found -1"),
        (json.dumps(retract(True)), "step: expected a step counted from 0, found True"),
        (json.dumps(retract("1")), "step: expected"),
        (json.dumps(retract(2**31)), "step: expected"),
        (json.dumps(retract(1, who=" ")), "who: expected a text that is not empty"),
        (json.dumps(retract(1, reason=None)), "reason: expected a text that is not empty, found None"),
        (f"{json.dumps(retract(1))}\n\n{json.dumps(retract(1))}", "line 3: sample s0 step 1 is there twice"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_retractions(path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: unreadable .*set dataset\.retracted"):
        read_retractions(tmp_path / "none.jsonl")


@given(st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists).map(json.dumps))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        columns: object = read_retractions(path).columns
    except UserError as error:
        columns = str(error)
    assert columns == list(RETRACTION) or (isinstance(columns, str) and "\n" not in columns)


def test_a_line_separator_within_a_reason_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps(retract(1, reason="a\u2028b"), ensure_ascii=False), encoding="utf-8")
    assert read_retractions(path)["reason"].to_list() == ["a\u2028b"]


def check(root: Path, inputs: RoundTables, retracted: str) -> dict[str, list[str]]:
    """What verification says of the data set in `root`/out, given this list."""
    params = DatasetParams(kl_block_size=2, retracted=retracted)
    selection = DatasetSelection(Path("out"), Path("selections"), EVERYTHING, params, PROMPT, 1)
    tables = TableSet.__new__(TableSet)
    tables.__dict__.update(name="M1", selection=selection)
    folders = {"problems": PROBLEM, "samples": SAMPLE, "steps": STEP, "labels": LABEL, "outcomes": OUTCOME}
    frames = [read_table(root / name, table, 0) for name, table in {**folders, "selections": SELECTION}.items()]
    results = CheckResults()
    selected = select_rows(root, selection, inputs.scope, RangeRows(*frames))
    assert selected is not None
    files = {name: hash_file_rows(results, root, Path("out", name), 0, 100) for name in COLUMNS}
    check_dataset(results, root, tables, selected, {name: each for name, each in files.items() if each is not None})
    return {check: result.errors for check, result in results.by_check.items() if result.num_broken}


def test_verification_wants_what_the_list_says(inputs: RoundTables, tmp_path: Path) -> None:
    path = write_list(tmp_path / "wrong.jsonl", retract(1))
    build(inputs, path, tmp_path / "out")
    assert check(tmp_path, inputs, "wrong.jsonl") == {}
    write_list(tmp_path / "wrong.jsonl", retract(1), retract(0, "s1"))
    found = check(tmp_path, inputs, "wrong.jsonl")
    assert ["out/step_kto.parquet" in line and "sample s1" in line for line in found["kto"]] == [True]
    assert any("retracted is {'the sum is correct': 1}" in line for line in found["selection"])


def test_published_labels_and_card_say_what_is_retracted(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place")
    data = place / "data"
    labels = read_table(data / "labels/M1", LABEL, 0)
    errors = labels.filter(~pl.col("label") & (pl.col("step") == pl.col("first_error")))
    kept = pl.read_parquet(data / "datasets/M1/kto.parquet")["sample_id"].to_list()
    wrong = errors.filter(pl.col("sample_id").is_in(kept)).row(0, named=True)
    path = write_list(tmp_path / "wrong.jsonl", retract(wrong["step"], wrong["sample_id"]))
    edit(place, "dataset", "retracted", path)
    shutil.rmtree(data / "datasets/M1")
    folders = [data / f"{name}/M1" for name in ("samples", "outcomes", "selections", "steps", "labels")]
    build_stage(
        place / "params.yaml", data / "problems", *folders, data / "datasets/M1", data / "reports/dataset/M1.json"
    )
    (tmp_path / "out").mkdir()
    write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)
    rows = pl.read_parquet(tmp_path / "out/data/M1/labels/*.parquet").filter(pl.col("sample_id") == wrong["sample_id"])
    step = rows["steps"][0][wrong["step"]]
    assert (step["label"], step["reason"]) == (None, "retracted: the sum is correct")
    assert rows["first_error"][0] != wrong["step"]
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "found wrong after the judge gave them" in card
    assert "| the sum is correct | 1 |" in card
