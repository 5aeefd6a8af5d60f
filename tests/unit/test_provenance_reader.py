"""A published folder alone leads from a label to its source row and its votes, and no byte of it can change unseen."""

from __future__ import annotations

import ast
import json
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support.llm_params import JUDGE, LLM_JUDGE
from tests.support.publish_place import judge_again, make_place
from tests.support.tiny_prm import write_reward_model
from tools import provenance_reader
from tools.publish import Commit, write_dataset
from tools.publish.release_manifest import MANIFEST, read_release_manifest, write_release_manifest

COMMIT = Commit("c0ffee" * 6 + "c0ff", "2026-01-02", "https://example.org/project.git")
NUM_LABELS = 200
"""Of the labels of each judge: 1,000 in all."""

MOCK = {**LLM_JUDGE, "mock": {"error_rate": 0.3, "invalid_rate": 0.2}, "temperature": 1.0}
JUDGES: dict[str, dict[str, Any]] = {
    "rule": {"kind": "arithmetic", "label_noise": 0.2},
    "score": {"kind": "prm", "prm": {"layout": "skywork_prm", "dtype": "float32"}, "label_noise": 0.2},
    "steps": {**JUDGE, "llm": {**MOCK, "mode": "step", "reasoning": "field"}, "num_votes": 3},
    "two judges": {
        **JUDGE,
        "llm": {**MOCK, "reasoning": "tags"},
        "second_judge": {**MOCK, "model": "n", "reasoning": "none"},
        "num_votes": 3,
        "label_noise": 0.2,
    },
    "critique": {**JUDGE, "llm": {**MOCK, "mode": "critique"}, "num_votes": 5},
}


@pytest.fixture(scope="module")
def unjudged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"), problems=15, digits=1, served=False)


@pytest.fixture(scope="module", params=list(JUDGES))
def folder(request: pytest.FixtureRequest, unjudged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The publication of a round labelled by each kind of judge."""
    params = {**JUDGES[request.param], "scope": "all"}
    place = tmp_path_factory.mktemp("judged") / "place"
    shutil.copytree(unjudged, place)
    if request.param == "score":
        model = str(write_reward_model(place.parent / "model", "skywork_prm"))
        params["prm"] = {**params["prm"], "model": model, "correct_threshold": 0.98, "incorrect_threshold": 0.93}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        judge_again(place, params)
    out = place.parent / "out"
    write_dataset(["M1"], "org/sums", COMMIT, out, place)
    return out


def read(folder: Path, table: str) -> pl.DataFrame:
    return pl.read_parquet(folder / f"data/M1/{table}/*.parquet")


def list_steps(folder: Path) -> dict[str, dict[str, Any]]:
    """Rows of `labels` with each of their steps, by the label's id."""
    return {
        f"M1/{row['sample_id']}/{step['step']}": {**row, **step}
        for row in read(folder, "labels").iter_rows(named=True)
        for step in row["steps"]
    }


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, label_ids: list[str]) -> int:
    monkeypatch.setattr(sys, "argv", ["provenance_reader.py", str(folder), *label_ids])
    return provenance_reader.main()


def test_it_is_short_and_imports_nothing_of_the_project() -> None:
    text = Path(provenance_reader.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        + ([each.name for each in node.names] if isinstance(node, ast.Import) else [])
    }
    assert imported - set(sys.stdlib_module_names) == {"pyarrow"}


def test_random_labels_lead_to_their_source_rows_and_votes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = list_steps(folder)
    assert {step["label"] for step in steps.values()} >= {False, None}
    label_ids = random.Random(5).sample(sorted(steps), NUM_LABELS)
    assert run(monkeypatch, folder, label_ids) == 0
    histories = re.split(r"^(?=M1/)", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    assert [history.split("\n")[0] for history in histories] == label_ids
    num_replies = 0
    for label_id, history in zip(label_ids, histories, strict=True):
        step = steps[label_id]
        assert f"  source row {step['origin_row']} of {step['origin']}\n" in history
        assert f"  problem {step['problem_id']}: " in history
        assert repr(step["completion"][step["start"] : step["end"]]) in history
        names = {True: "correct", False: "incorrect", None: "unknown"}
        assert f"  label {names[step['label']]}, agreement {step['agreement']:.3g}: " in history
        if step["votes_correct"] is not None:
            votes = [step[f"votes_{name}"] for name in ("correct", "incorrect", "invalid")]
            assert f"counted {dict(zip(names.values(), votes, strict=True))}: " in history
        num_replies += history.count("\n  vote ")
    assert (num_replies >= NUM_LABELS) == (folder / "data/M1/replies").is_dir()


def test_a_changed_byte_is_found_in_every_kind_of_file_and_the_file_named(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert provenance_reader.check_files(copy) == []
    files = [path.relative_to(copy).as_posix() for path in sorted(copy.rglob("*")) if path.is_file()]
    assert {"README.md", "croissant.json", MANIFEST, "provenance/params.yaml", "provenance/dvc.lock"} < set(files)
    rng = random.Random(7)
    for name in files:
        written = (copy / name).read_bytes()
        for at in {0, len(written) - 1, *rng.sample(range(len(written)), 50 if name == MANIFEST else 3)}:
            (copy / name).write_bytes(written[:at] + bytes([written[at] ^ 1 << rng.randrange(8)]) + written[at + 1 :])
            [error] = provenance_reader.check_files(copy)
            assert error.startswith(f"{name}: changed")
        (copy / name).write_bytes(written)
    (copy / "README.md").unlink()
    shutil.copy(copy / "data/M1/kto/00000.parquet", copy / "data/M1/kto/00009.parquet")
    errors = [error.split(":")[0] for error in provenance_reader.check_files(copy)]
    assert errors == ["README.md", "data/M1/kto/00009.parquet"]


STEP = pl.element().struct
CHANGES: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a label": (
        "labels",
        lambda rows: rows.with_columns(pl.col("steps").list.eval(STEP.with_fields(label=STEP.field("label").not_()))),
        "label",
    ),
    "a count": (
        "labels",
        lambda rows: rows.with_columns(
            pl.col("steps").list.eval(STEP.with_fields(votes_correct=STEP.field("votes_correct") + 1))
        ),
        "votes",
    ),
    "a problem": ("labels", lambda rows: rows.with_columns(pl.col("problem") + "0"), "problem_id"),
    "a gold answer": ("labels", lambda rows: rows.with_columns(pl.col("gold_answer") + "0"), "problem_id"),
    "a completion": ("labels", lambda rows: rows.with_columns(pl.col("completion") + "."), "sample_id"),
    "a reply": (
        "replies",
        lambda rows: rows.with_columns(
            pl.col("text").str.replace('"correct"', '"x"').str.replace('"incorrect"', '"correct"')
        ),
        "label",
    ),
    "a trained label": (
        "step_kto",
        lambda rows: rows.with_columns(pl.col("steps").list.eval(STEP.with_fields(label=STEP.field("label").not_()))),
        "step_kto",
    ),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_what_does_not_follow_is_named_even_where_the_hashes_were_made_again(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = make_place(tmp_path / "place", problems=4)
    folder = tmp_path / "out"
    manifest = write_dataset(["M1"], "org/sums", COMMIT, folder, place)
    table, edit, error = CHANGES[change]
    [path] = (folder / "data/M1" / table).iterdir()
    edit(pl.read_parquet(path)).write_parquet(path)
    rounds = json.loads((folder / MANIFEST).read_bytes())["rounds"]
    assert write_release_manifest(folder, rounds, {}).hash != manifest.hash
    assert read_release_manifest(folder / MANIFEST) is not None
    trained = read(folder, "step_kto")["sample_id"]
    known = [
        label_id
        for label_id, step in list_steps(folder).items()
        if step["label"] is not None and step["sample_id"] in trained
    ]
    assert run(monkeypatch, folder, known) == 1
    assert f"error: {error} does not follow" in capsys.readouterr().out


def test_a_label_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(iter(list_steps(folder)))
    for label_id in ("M1/nothing/0", f"{first}9"):
        with pytest.raises(SystemExit, match=f"{label_id}: no such label"):
            run(monkeypatch, folder, [label_id])
