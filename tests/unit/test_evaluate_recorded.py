"""Recorded solutions measured without a model, and held against the verdicts recorded with them."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stages.evaluate.evaluation_params import load_params
from stages.evaluate.recorded_completions import (
    DEFAULT_RECIPE,
    RecordedEvaluation,
    evaluate_recorded,
    format_recorded,
)
from tools.cli import app

RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"), "recorded/math_100x8.jsonl")


def row(problem: str, answer: str, *solutions: str, **more: Any) -> dict[str, Any]:
    return {"problem": problem, "answer": answer, "solutions": [f"So \\boxed{{{it}}}." for it in solutions], **more}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(it) + "\n" for it in rows), encoding="utf-8")
    return path


def measure(path: Path) -> RecordedEvaluation:
    return evaluate_recorded(path, load_params(DEFAULT_RECIPE))


def figures(evaluation: RecordedEvaluation) -> dict[str, tuple[float, int]]:
    return {name: (it["numerator"], it["denominator"]) for name, it in evaluation.report["metrics"].items()}


def test_solutions_are_measured_by_the_grader(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.jsonl",
        row("one half?", "\\frac12", "0.5", "2", "\\frac{1}{2}", "2/1"),
        row("two?", "2", "3", "3", "2", "4"),
        row("three?", "3", "4", "4", "4", "4"),
    )
    it = measure(path)
    found = figures(it)
    assert found["avg_at_8"] == (3, 12)
    assert found["pass_at_4"] == (2, 3)
    assert found["maj_at_8"] == (1, 3)
    assert found["pass_at_8"] == (0, 0)  # no problem has eight solutions
    assert found["unknown_steps"][0] == found["unknown_steps"][1] > 0
    assert "truncated" not in found  # not recorded, and tokens neither
    assert found["tokens_per_completion"] == (0, 0)
    assert (it.as_recorded, it.verdict_differences.height, it.majority_differences.height) == (None, 0, 0)


def test_recorded_verdicts_stand_beside_and_differences_are_listed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.jsonl",
        row("two?", "2", "2.0", "3", "2", "3",
            recorded_answers=["2.0", "3", "2", "3"], recorded_correct=[False, False, True, False]),
        row("three?", "3", "3", "4", recorded_answers=["3", None], recorded_correct=[True, True]),
    )  # fmt: skip
    it = measure(path)
    assert it.as_recorded is not None
    assert (it.as_recorded["avg_at_8"].numerator, it.as_recorded["avg_at_8"].denominator) == (3, 6)
    assert figures(it)["avg_at_8"] == (3, 6)
    assert it.verdict_differences.select("row", "sample_index", "is_correct", "our_verdict").rows() == [
        (1, 0, False, True),
        (2, 1, True, False),
    ]
    # By text 2.0, 2 and 3 have 1, 1 and 2 votes; by value 2 has 2 and comes first.
    assert it.majority_differences.select("row", "answer", "our_answer").rows() == [(1, "3", "2.0")]
    text = format_recorded(it)
    assert "verdicts that differ from the recorded ones: 2" in text
    assert "row 1, completion 0: gold '2'; recorded '2.0' as incorrect; found '2.0', correct" in text
    assert "majorities that differ from the recorded ones: 1" in text


def test_a_solution_that_cannot_be_read_is_counted_and_costs_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", row("two?", "2", "2", "3"), row("five?", "5", "5") | {"solutions": [None, "5"]})
    it = measure(path)
    assert figures(it)["avg_at_8"] == (2, 3)
    assert it.report["drops"]["solution not text"]["rows"] == 1
    assert "left out, solution not text: 1" in format_recorded(it)


@pytest.mark.parametrize(
    "changes",
    [{"recorded_correct": [True]}, {"recorded_correct": "yes"}, {"recorded_answers": [1]},
     {"recorded_correct": [True, "no"]}],
)  # fmt: skip
def test_recorded_verdicts_that_do_not_pair_are_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    full = row("two?", "2", "2", "3", recorded_answers=["2", "3"], recorded_correct=[True, False])
    with pytest.raises(ValueError, match=r"r\.jsonl:1: recorded_answers and recorded_correct"):
        measure(write(tmp_path / "r.jsonl", full | changes))


def test_a_file_without_solutions_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of 1 problems has a recorded completion"):
        measure(write(tmp_path / "r.jsonl", {"problem": "two?", "answer": "2"}))


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", row("two?", "2", "2", "3"))
    done = CliRunner().invoke(app, ["recorded", str(path), "--out", str(tmp_path / "report.json")])
    assert "avg_at_8                        0.5000" in done.output
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["metrics"]["avg_at_8"]["numerator"] == 1


# Real solutions; docs/evaluation.md says the same in words.


@pytest.fixture(scope="module")
def real() -> RecordedEvaluation:
    if not RECORDED.exists():
        pytest.skip(f"{RECORDED}: real data not here")
    return measure(RECORDED)


def test_the_recorded_figures_are_reproduced(real: RecordedEvaluation) -> None:
    theirs = real.as_recorded
    assert theirs is not None
    assert (theirs["avg_at_8"].numerator, theirs["avg_at_8"].denominator) == (728, 800)
    assert theirs["avg_at_8"].value == 0.91
    assert theirs["pass_at_8"].value == 0.96
    assert theirs["maj_at_8"].value == 0.93
    found = figures(real)
    assert found["avg_at_8"] == (729, 800)
    assert found["pass_at_8"] == (97, 100)
    assert found["maj_at_8"] == (93, 100)


def test_every_difference_is_the_recorder_s_one_error(real: RecordedEvaluation) -> None:
    """The gold answer 10{,}000 is 10000; its only right solution makes the problem solved within eight tries."""
    (difference,) = real.verdict_differences.iter_rows(named=True)
    assert (difference["row"], difference["sample_index"]) == (73, 7)
    assert (difference["gold"], difference["answer"], difference["is_correct"]) == ("10{,}000", "10000", False)
    assert (difference["our_answer"], difference["our_verdict"]) == ("10000", True)
    assert real.majority_differences.is_empty()
    assert real.report["drops"] == {}


def test_ties_decide_little_but_something(real: RecordedEvaluation) -> None:
    """Four votes end in a tie: with the luckiest and the unluckiest rule, 0.93 would be 0.94 and 0.91."""
    lowest = highest = tied = 0
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        it = json.loads(line)
        votes = Counter(it["recorded_answers"])
        best = [answer for answer, count in votes.items() if count == max(votes.values())]
        right = {answer for answer, value in zip(it["recorded_answers"], it["recorded_correct"], strict=True) if value}
        lowest += all(answer in right for answer in best)
        highest += any(answer in right for answer in best)
        tied += len(best) > 1
    assert (lowest, highest, tied) == (91, 94, 4)
    assert lowest <= figures(real)["maj_at_8"][0] <= highest
