"""Rows that a problems stage takes wrongly: flags, boxes beside answers, answers in two looks, golds that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.gold_answers.choices import complete_choice, find_options
from stages.common.params.block import validate
from stages.common.params.problems import ProblemsParams
from stages.common.tables import make_problem_id
from stages.problems import build_problems, read_problems

CASES: list[dict[str, Any]] = json.loads(Path("tests/data/problem_faults.json").read_text(encoding="utf-8"))
OPTIONS: list[dict[str, Any]] = json.loads(Path("tests/data/options.json").read_text(encoding="utf-8"))
REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data")) / "faults/labels.jsonl"
OTHER = {"problem": "How many wheels have two cars?", "solution": "They have \\boxed{8}.", "source": "mine"}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def build(
    folder: Path, rows: list[dict[str, Any]], evaluation: str | None = None, **changes: Any
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The table of `rows` and of one row that is always kept, and the drops by reason."""
    block: dict[str, Any] = {"reader": "files", "splits": {"validation": 0.0, "test": 0.0}, **changes}
    block["files"] = {"paths": [write(folder / "rows.jsonl", [*rows, OTHER])]}
    if evaluation is not None:
        block["decontamination"] = {"files": [write(folder / "held_out.jsonl", [{"problem": evaluation}])]}
    report = build_problems(validate(ProblemsParams, block, "problems"), 1, 0, folder / "out")
    return read_problems(folder / "out", 0), {reason: drop["rows"] for reason, drop in report["drops"].items()}


@pytest.mark.parametrize("case", CASES, ids=[case["source"] for case in CASES])
def test_a_row_is_dropped_for_its_fault_and_kept_without_one(case: dict[str, Any], tmp_path: Path) -> None:
    table, drops = build(tmp_path, case["rows"], case.get("evaluation"), filters=case.get("filters", {}))
    assert drops == case["expected"]
    assert table.height == len(case["rows"]) + 1 - sum(drops.values())
    for identity, problem, answer in table.select("problem_id", "problem", "answer").iter_rows():
        assert identity == make_problem_id(problem, answer)


REASONS = {
    "NuminaMath-1.5 validity flags are not read": "solution marked as not valid",
    "NuminaMath-1.5 question_type is not read": "marked as a proof",
    "gold that is a sentence": "answer is a sentence",
    "given answer and box disagree": "answer conflicts with the solution's box",
    "one answer in two looks drops both rows as conflicting": "exact duplicate",
    "box that holds no result": "answer is no result",
    "short evaluation problem in any wrapper is not found": "overlaps an evaluation problem",
}


def test_the_faults_that_were_found_are_faults_no_more(tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip(f"{REAL} is missing; set STEPKTO_REAL_DATA to the folder of real data")
    faults = [json.loads(line) for line in REAL.read_text(encoding="utf-8").splitlines()]
    faults = [fault for fault in faults if fault["area"] in ("problems", "decontamination")]
    assert len(faults) >= 12
    for fault in faults:
        value = fault["input"]
        answers = value.get("same problem text, answers", [])
        rows = [{**OTHER, "problem": "How many?", "solution": "So many.", "answer": answer} for answer in answers]
        rows = rows or [value.get("row") or {**OTHER, "problem": value["problem"]}]
        assert build(tmp_path, rows, value.get("evaluation"))[1] == {REASONS[fault["cls"]]: 1}, fault


@pytest.mark.parametrize("case", OPTIONS, ids=[case["source"] for case in OPTIONS])
def test_options_are_read_with_their_letters(case: dict[str, Any]) -> None:
    assert find_options(case["problem"]) == case["options"]
    for answer, expected in case.get("completed", {}).items():
        assert complete_choice(case["problem"], answer) == expected


@given(st.text("ABCDabc().:$\\ \n{}1,", max_size=60), st.text("ABC().1 ", max_size=6))
def test_any_text_has_options_or_none(problem: str, answer: str) -> None:
    options = find_options(problem)
    assert not options or ("".join(options) in "ABCDEFGHIJ" and all(options.values()))
    assert complete_choice(problem, answer) in {answer, *(f"({letter}) {text}" for letter, text in options.items())}
