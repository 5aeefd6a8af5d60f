"""Benchmarks: read whole or refused, from the Hub or a file, and measured beside the split."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.common.benchmarks import read_benchmark, read_problem_file
from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.evaluate import BenchmarkParams
from stages.common.provenance import compute_sha256
from stages.common.tables import PROBLEM, make_problem_id
from stages.common.verifiers import verify_answers

REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"), "benchmarks")
REVISION = "0" * 40


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def of_file(path: Path, sha256: str) -> BenchmarkParams:
    return validate(BenchmarkParams, {"hub": None, "file": {"path": str(path), "sha256": sha256}}, "b")


ROW = {"problem": "What is 1 + 1?", "answer": "2"}


def test_a_file_becomes_problems(tmp_path: Path) -> None:
    path = write(
        tmp_path / "b.jsonl",
        ROW | {"solution": "It is 2."},
        {"question": "What is 5 / 2?", "answer": 2.5, "reference_solution": "Half of 5."},
        {"question": "Twice?", "problem": "What is 3 * 9?", "answer": 27.0, "level": {"any": "thing"}},
    )
    table = PROBLEM.check(read_benchmark("amc", of_file(path, compute_sha256(path))))
    assert table["problem"].to_list() == ["What is 1 + 1?", "What is 5 / 2?", "What is 3 * 9?"]
    assert table["answer"].to_list() == ["2", "2.5", "27"]
    assert table["solution"].to_list() == ["It is 2.", "Half of 5.", ""]
    assert set(table["split"]) == {"test"}
    assert set(table["source"]) == {"amc"}
    assert set(table["origin"]) == {f"b.jsonl sha256:{compute_sha256(path)}"}
    assert table["origin_row"].to_list() == [0, 1, 2]
    assert table["problem_id"][0] == make_problem_id("What is 1 + 1?", "2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{oops", "b.jsonl:2: not JSON"),
        (b'{"problem": "\xff"}', "b.jsonl:2: not UTF-8"),
        (b"[" * 100_000, "b.jsonl:2: not JSON"),
        (b"[1]", "b.jsonl:2: expected an object, found list"),
        (b"\n", "b.jsonl:2: blank line"),
        (b'{"answer": "3"}', "b.jsonl:2: problem or question: expected text, found None"),
        (b'{"problem": " ", "answer": "3"}', "b.jsonl:2: problem or question: expected text"),
        (b'{"problem": 3, "answer": "3"}', "b.jsonl:2: problem or question: expected text, found 3"),
        (b'{"problem": "x"}', "b.jsonl:2: answer: expected text or a number, found None"),
        (b'{"problem": "x", "answer": true}', "b.jsonl:2: answer: expected text or a number, found True"),
        (b'{"problem": "x", "answer": ""}', "b.jsonl:2: answer: expected text or a number"),
        (b'{"problem": "x", "answer": ["3"]}', "b.jsonl:2: answer: expected text or a number"),
        (b'{"problem": "x", "answer": NaN}', "b.jsonl:2: answer: expected a finite number"),
        (b'{"problem": "x", "answer": "\\ud800"}', "b.jsonl:2: answer: expected UTF-8 text, found a lone surrogate"),
        (b'{"problem": "x", "answer": "3", "solution": 4}', "b.jsonl:2: solution or reference_solution: expected"),
        (json.dumps(ROW).encode(), "b.jsonl:2: the same problem and answer as .*b.jsonl:1"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_nothing_is_left_out(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(json.dumps(ROW).encode() + b"\n" + line + b"\n")
    with pytest.raises(ValueError, match=message):
        read_problem_file("b", path)


def test_no_file_no_row_and_another_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_problem_file("b", tmp_path / "b.jsonl")
    with pytest.raises(ValueError, match="no problem to evaluate"):
        read_problem_file("b", write(tmp_path / "b.jsonl"))
    path = write(tmp_path / "b.jsonl", ROW)
    with pytest.raises(ValueError, match=f"sha256: expected {'0' * 64}, found {compute_sha256(path)}"):
        read_benchmark("b", of_file(path, "0" * 64))


def test_the_hub_is_read_at_the_pinned_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def load_dataset(repo: str, *, revision: str, split: str, **_: Any) -> list[dict[str, Any]]:
        asked.append((repo, revision, split))
        return [ROW, {"question": "What is 2 + 2?", "answer": 4}]

    fake = SimpleNamespace(load_dataset=load_dataset, exceptions=SimpleNamespace(DatasetsError=RuntimeError))
    monkeypatch.setitem(__import__("sys").modules, "datasets", fake)
    hub = {"repo": "owner/name", "revision": REVISION, "split": "test"}
    table = read_benchmark("b", validate(BenchmarkParams, {"hub": hub, "file": None}, "b"))
    assert asked == [("owner/name", REVISION, "test")]
    assert table["answer"].to_list() == ["2", "4"]
    assert set(table["origin"]) == {f"owner/name@{REVISION} test"}


def test_a_hub_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    hub = {"repo": "owner/name", "revision": REVISION, "split": "test"}
    with pytest.raises(
        ValueError, match=rf"owner/name@{REVISION} test: could not be read after row 0 \(ConnectionError: no net"
    ):
        read_benchmark("b", validate(BenchmarkParams, {"hub": hub, "file": None}, "b"))


HUB = {"repo": "owner/name", "revision": REVISION, "split": "test"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"hub": None, "file": None}, "expected either hub or file"),
        ({"hub": HUB, "file": {"path": "x", "sha256": "0" * 64}}, "expected either hub or file"),
        ({"hub": HUB | {"revision": "main"}, "file": None}, r"b\.hub\.revision"),
        ({"hub": None, "file": {"path": "x", "sha256": "abc"}}, r"b\.file\.sha256"),
    ],
)
def test_settings_that_pin_nothing_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        validate(BenchmarkParams, value, "b")


@pytest.mark.parametrize(("name", "rows"), [("math500", 500), ("amc23", 40), ("aime24", 30)])
def test_real_benchmarks_are_read_and_their_gold_answers_graded_right(name: str, rows: int) -> None:
    path = REAL / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path}: real data not here")
    table = read_problem_file(name, path)
    assert table.height == rows
    pairs = [(answer, f"So the answer is $\\boxed{{{answer}}}$.") for answer in table["answer"]]
    assert [verdict.is_correct for verdict in verify_answers(pairs, 2, 5.0)] == [True] * rows


def test_answers_written_in_another_way_are_right_too() -> None:
    """AIME's gold answers are padded with zeros, AMC's were floats: solutions write neither."""
    pairs = [("025", "\\boxed{25}"), ("27", "\\boxed{27.0}"), ("204", "\\boxed{024}")]
    assert [verdict.is_correct for verdict in verify_answers(pairs, 1, 5.0)] == [True, True, False]
