"""Human labels in the files of other tools: nothing is lost on the way there and back, and bad rows are named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from stages.common.errors import UserError
from stages.common.human_labels import (
    HumanLabel,
    StepLabel,
    append_human_labels,
    hash_step_text,
    keep_last,
    read_human_labels,
)
from stages.judge.calibration import read_solutions
from tests.support.labelled_project import PROBLEMS, STEPS, label, make_tables
from tools.cli import app
from tools.human_labels import FORMATS, SampleTables, export_labels, import_labels

CASES = json.loads((Path(__file__).parents[1] / "data" / "label_rows.json").read_text(encoding="utf-8"))
REAL = Path(os.environ.get("STEPKTO_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data")

cells = st.fixed_dictionaries(
    {
        "annotator": st.sampled_from(["anna", "ben", "ç \u2028 d"]),
        "said": st.sampled_from(get_args(StepLabel)),
        "kind": st.sampled_from(["own", "gold", "adjudicated", "imported"]),
        "mode": st.sampled_from(["first_error", "per_step"]),
        "queue": st.sampled_from(["random", "value", "browsing"]),
        "is_blind": st.booleans(),
        "seconds": st.floats(0, 1e6),
        "time": st.sampled_from(["2026-01-02T03:04:05Z", "2026-05-06T07:08:09.123456+00:00"]),
        "page_version": st.sampled_from(["00000000", "0123abcd"]),
        "judge_label": st.sampled_from(["correct", "incorrect", "unknown", "none"]),
        "judge": st.text(max_size=5),
    }
)
steps = st.sampled_from([(sample, step) for sample, texts in STEPS.items() for step in range(len(texts))])
labels = st.lists(st.builds(lambda at, of: label(of.pop("annotator"), *at, **of), steps, cells.map(dict)), max_size=12)
complete = st.lists(
    st.builds(
        lambda sample, error, of: [
            label(of["annotator"], sample, step, "incorrect" if step == error else "correct")
            for step in range(len(STEPS[sample]))
            if step <= error
        ],
        st.sampled_from(list(STEPS)),
        st.integers(0, 4),
        cells,
    ),
    max_size=4,
).map(lambda groups: [label for group in groups for label in group])


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> SampleTables:
    return make_tables(tmp_path_factory.mktemp("project"))


def write(path: Path, human_labels: list[HumanLabel]) -> Path:
    path.unlink(missing_ok=True)
    append_human_labels(path, human_labels)
    return path


@pytest.mark.parametrize("name", ["label_studio", "potato", "prm800k"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(given_labels=labels)
def test_an_export_and_an_import_give_the_same_labels(
    tmp_path: Path, tables: SampleTables, name: str, given_labels: list[HumanLabel]
) -> None:
    out = tmp_path / f"out{FORMATS[name].suffix}"
    list(export_labels(tables, write(tmp_path / "labels.jsonl", given_labels), name, out))
    again = write(tmp_path / "again.jsonl", [])
    for _ in range(2):  # what is there is not appended again
        list(import_labels(tables, [out], name, again))
    assert set(read_human_labels(again)) == set(keep_last(given_labels))
    assert again.read_bytes().count(b"\n") == len(keep_last(given_labels))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(given_labels=complete)
def test_processbench_gives_back_completions_that_are_known_up_to_the_first_error(
    tmp_path: Path, tables: SampleTables, given_labels: list[HumanLabel]
) -> None:
    out = tmp_path / "out.jsonl"
    list(export_labels(tables, write(tmp_path / "labels.jsonl", given_labels), "processbench", out))
    again = write(tmp_path / "again.jsonl", [])
    list(import_labels(tables, [out], "processbench", again))
    assert set(read_human_labels(again)) == set(keep_last(given_labels))
    for solution in read_solutions(out):
        assert solution.steps == STEPS[solution.key]


def test_what_a_format_cannot_say_is_refused_and_counted(tmp_path: Path, tables: SampleTables) -> None:
    path = write(tmp_path / "labels.jsonl", [label("anna", "s0", 0), label("anna", "s0", 1, "cannot_tell"),
                                             label("ben", "s2", 0, "incorrect", seconds=3.0)])  # fmt: skip
    out = tmp_path / "out.jsonl"
    with pytest.raises(
        UserError,
        match="processbench cannot hold all of 3 labels; it would leave out: 2 labels that it cannot say; use",
    ):
        list(export_labels(tables, path, "processbench", out))
    assert not out.exists()
    (line,) = export_labels(tables, path, "processbench", out, lossy=True)
    assert line.startswith(f"{out}: 1 rows with 1 labels; left out: 2 labels that it cannot say, annotator of 1, ")
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["id"], row["steps"], row["label"]) == ("s2", ["only"], 0)
    assert row.keys() == {"id", "generator", "problem", "steps", "final_answer_correct", "label"}


@pytest.mark.parametrize("name", list(FORMATS))
def test_without_our_own_keys_the_labels_remain(tmp_path: Path, tables: SampleTables, name: str) -> None:
    given_labels = [label("anna", "s0", step, said) for step, said in enumerate(["correct", "neutral", "incorrect"])]
    out = tmp_path / f"out{FORMATS[name].suffix}"
    list(export_labels(tables, write(tmp_path / "labels.jsonl", given_labels), name, out, lossy=True))
    assert "human_labels" not in out.read_text()
    again = tmp_path / "again.jsonl"
    list(import_labels(tables, [out], name, again))
    read = read_human_labels(again)
    assert [it.step for it in read] == [0, 1, 2]
    assert [it.is_correct for it in read] == [True, True, False]
    assert {it.kind for it in read} == {"imported"}
    if name != "prm800k":  # its rows have no id
        assert {(it.round, it.sample_id, it.problem_id) for it in read} == {("M1", "s0", PROBLEMS["s0"])}


@pytest.mark.parametrize("name", ["potato", "prm800k", "processbench"])
def test_a_label_that_was_changed_after_the_export_is_refused(tmp_path: Path, tables: SampleTables, name: str) -> None:
    out, again = tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    list(export_labels(tables, write(tmp_path / "labels.jsonl", [label("anna", "s2", 0)]), name, out))
    row = json.loads(out.read_text())
    changes: dict[str, Callable[[], Any]] = {
        "potato": lambda: row["steps"][0].update(reward=-1),
        "prm800k": lambda: row["label"]["steps"][0]["completions"][0].update(rating=-1),
        "processbench": lambda: row.update(label=0),
    }
    changes[name]()
    out.write_text(json.dumps(row))
    lines = import_labels(tables, [out], name, again)
    assert next(lines).startswith(f"{out}:1: human_labels: not the labels in the row, which were changed after")
    with pytest.raises(UserError, match="1 rows could not be imported"):
        list(lines)
    del row["human_labels"]
    out.write_text(json.dumps(row))
    list(import_labels(tables, [out], name, again))
    assert [(it.label, it.kind) for it in read_human_labels(again)] == [("incorrect", "imported")]


def test_a_region_that_was_changed_in_label_studio_is_a_label_made_there(tmp_path: Path, tables: SampleTables) -> None:
    out, again = tmp_path / "out.json", tmp_path / "again.jsonl"
    given_labels = [label("anna", "s3", 0), label("anna", "s3", 1)]
    list(export_labels(tables, write(tmp_path / "labels.jsonl", given_labels), "label_studio", out))
    rows = json.loads(out.read_text())
    (annotation,) = rows[0]["annotations"]
    annotation["result"][1]["value"]["paragraphlabels"] = ["incorrect"]
    annotation["completed_by"] = {"id": 4, "email": "ben@example.org"}
    out.write_text(json.dumps(rows))
    list(import_labels(tables, [out], "label_studio", again))
    read = [(it.annotator, it.step, it.label, it.kind) for it in read_human_labels(again)]
    assert read == [("anna", 0, "correct", "own"), ("ben@example.org", 1, "incorrect", "imported")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_rows_of_other_tools_are_read(tmp_path: Path, tables: SampleTables, case: dict[str, Any]) -> None:
    path = tmp_path / case.get("file", "rows.jsonl")
    path.write_text(json.dumps([case["row"]] if path.name == "rows.json" else case["row"], indent=case.get("indent")))
    again = tmp_path / "again.jsonl"
    lines = import_labels(tables, [path], case["format"], again, lossy=case.get("lossy", False))
    if "error" in case:
        said = []
        with pytest.raises(UserError) as caught:
            said.extend(lines)
        text = said[0] if said else str(caught.value)
        assert case["error"] in text
        assert "\n" not in text
        return
    list(lines)
    assert [
        {key: getattr(it, key) for key in case["expected"][0]} for it in read_human_labels(again)
    ] == case["expected"]  # fmt: skip


def test_an_imported_label_is_of_the_text_in_its_row_else_in_the_tables(tmp_path: Path, tables: SampleTables) -> None:
    row = {"instance_id": "s3", "annotator": "anna", "steps": [{"index": 1, "reward": 1}], "mode": "per_step"}
    path, again = tmp_path / "rows.jsonl", tmp_path / "again.jsonl"
    for texts, expected in (([], "y\n"), (["x\n", "y\n"], "y\n"), (["x", "\ny\n"], "\ny\n")):
        path.write_text(json.dumps(row | {"step_texts": texts}))
        list(import_labels(tables, [path], "potato", write(again, [])))
        (read,) = read_human_labels(again)
        assert read.text_hash == hash_step_text(expected)
        assert len(tables.read_labels(again)[0]) == (expected == STEPS["s3"][1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_change_of_a_row_is_read_or_named_in_one_line(
    tmp_path: Path, tables: SampleTables, name: str, data: st.DataObject
) -> None:
    out = tmp_path / f"out{FORMATS[name].suffix}"
    given_labels = [label("anna", "s3", 0), label("anna", "s3", 1, "incorrect")]
    list(export_labels(tables, write(tmp_path / "labels.jsonl", given_labels), name, out))
    text = out.read_text()
    row = json.loads(text)[0] if out.suffix == ".json" else json.loads(text)
    parent = row
    while True:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(parent[key], dict | list) and parent[key] and data.draw(st.booleans())):
            break
        parent = parent[key]
    parent[key] = data.draw(json_values)
    out.write_text(json.dumps([row] if out.suffix == ".json" else row))
    again = write(tmp_path / "again.jsonl", [])
    try:
        lines = list(import_labels(tables, [out], name, again, lossy=True))
    except UserError as error:
        lines = [str(error)]
    assert all("\n" not in line for line in lines)
    read_human_labels(again)


def test_bad_rows_do_not_cost_the_others(tmp_path: Path, tables: SampleTables) -> None:
    good = {"instance_id": "s2", "annotator": "anna", "steps": [{"index": 0, "reward": 1}], "mode": "per_step"}
    rows = ["not JSON", json.dumps([1]), json.dumps(good | {"instance_id": "none"}), json.dumps(good)]
    path, again = tmp_path / "rows.jsonl", tmp_path / "again.jsonl"
    path.write_text("\n".join(rows))
    lines = import_labels(tables, [path], "potato", again)
    assert next(lines) == f"{path}:1: not JSON"
    assert next(lines) == f"{path}:2: expected an object, found list"
    assert next(lines).startswith(f"{path}:3: no sample 'none' in the tables of this project")
    assert next(lines) == f"{again}: 1 of 1 labels by 1 people are new"
    with pytest.raises(UserError, match="3 rows could not be imported"):
        next(lines)
    assert [it.sample_id for it in read_human_labels(again)] == ["s2"]


def test_the_commands_say_what_they_did_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> list[str]:
        done = CliRunner().invoke(app, words)
        return [*done.output.splitlines(), *([str(done.exception)] if done.exception else [])]

    row = {"id": "a", "problem": "p", "steps": ["x", "y"], "label": 1}
    Path("rows.jsonl").write_text(json.dumps(row))
    assert call("labels", "import", "--format", "processbench", "rows.jsonl") == [
        "work/human_labels.jsonl: 2 of 2 labels by 1 people are new"
    ]
    assert call("labels", "export", "--format", "potato", "out.jsonl") == [
        "out.jsonl: potato cannot hold all of 2 labels; it would leave out: 2 labels of samples in no table; "
        "use --lossy to leave that out, or choose another format"
    ]
    assert call("labels", "export", "--format", "stepwise", "out.jsonl") == [
        "out.jsonl: 0 solutions with 0 known steps"
    ]
    assert call("audit", "adjudicate") == ["0 steps to adjudicate; 0 settled"]
    assert call("audit", "adjudicate", "a", "1") == ["adjudicate: expected SAMPLE STEP LABEL, or nothing for the list"]
    assert call("audit", "adjudicate", "a", "1", "correct", "--as", "cy") == [
        "a, step 1: correct by cy; before: processbench incorrect"
    ]
    assert call("audit", "agreement", "--gold", "work/human_labels.jsonl")[0] == "no step was labelled by two people"


@pytest.mark.skipif(not (REAL / "processbench").is_dir(), reason=f"{REAL}/processbench is not there")
def test_the_real_processbench_is_read_as_calibration_reads_it(tmp_path: Path, tables: SampleTables) -> None:
    path, again = REAL / "processbench" / "gsm8k.jsonl", tmp_path / "again.jsonl"
    list(import_labels(tables, [path], "processbench", again))
    read = {(it.sample_id, it.step): it.is_correct for it in read_human_labels(again)}
    expected = {
        (it.key, step): is_correct
        for it in read_solutions(path)
        for step, is_correct in enumerate(it.labels)
        if is_correct is not None
    }
    assert read == expected
