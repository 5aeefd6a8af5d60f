"""``python -m benchmarks.judge_labels``: rule judges against the first errors that people found (ProcessBench).

`arithmetic` on every part: its first "incorrect" of a solution, at or after people's first error. `reference` on the
GSM8K part, whose problems have reference solutions: its "correct" among the steps up to people's first error.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.params.judge import JudgeParams
from stages.judge.labelling import make_judge
from stages.judge.step_labels import CompletionSteps, find_first_error

ANSWER_MARK = "####"
"""Separates GSM8K's solution from its answer."""


@dataclass
class StepCounts:
    """Steps up to people's first error, by whether they are correct and whether the judge calls them correct."""

    counts: Counter[tuple[bool, bool]] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        """Fraction, 0 to 1, of the steps called correct that are."""
        return self.counts[True, True] / (self.counts[True, True] + self.counts[False, True])

    @property
    def coverage(self) -> float:
        """Fraction, 0 to 1, of the correct steps that are called so."""
        return self.counts[True, True] / (self.counts[True, True] + self.counts[True, False])

    def report(self) -> dict[str, Any]:
        """The counts and both fractions."""
        called = {name: self.counts[is_correct, True] for name, is_correct in (("correct", True), ("incorrect", False))}
        return {"called correct": called, "precision": self.precision, "coverage": self.coverage}


def measure_reference(data: Path) -> StepCounts:
    """The reference judge on ProcessBench's GSM8K part, with the references of GSM8K's test set; both below `data`."""
    references = {row["question"].strip(): row["answer"] for row in _read_rows(data / "gsm8k/test.jsonl")}
    rows = list(_read_rows(data / "processbench/gsm8k.jsonl"))
    judge = make_judge(JudgeParams(kind="reference"), 0)
    completions = []
    for number, row in enumerate(rows):
        reference, _, answer = references[row["problem"].strip()].partition(ANSWER_MARK)
        completions.append(_make_completion(number, row, reference, answer.strip()))
    labels = judge.label_steps(completions).labels
    measured = StepCounts()
    for number, row in enumerate(rows):
        end = len(row["steps"]) if row["label"] < 0 else row["label"] + 1
        for step, label in enumerate(labels[str(number)][:end]):
            measured.counts[row["label"] != step, label.is_correct is True] += 1
    return measured


@dataclass(frozen=True)
class AlarmCounts:
    """First steps of solutions that a judge calls incorrect, beside people's first errors."""

    solutions: int
    errors: int
    alarms: int
    exact: int
    at_or_after: int


def measure_arithmetic(file: Path) -> AlarmCounts:
    """The arithmetic judge on one part of ProcessBench."""
    rows = list(_read_rows(file))
    completions = [_make_completion(number, row) for number, row in enumerate(rows)]
    labels = make_judge(JudgeParams(kind="arithmetic"), 0).label_steps(completions).labels
    found = [(find_first_error([it.is_correct for it in labels[str(n)]]), row["label"]) for n, row in enumerate(rows)]
    alarms = [(first, error) for first, error in found if first is not None]
    return AlarmCounts(
        solutions=len(rows),
        errors=sum(row["label"] >= 0 for row in rows),
        alarms=len(alarms),
        exact=sum(first == error for first, error in alarms),
        at_or_after=sum(0 <= error <= first for first, error in alarms),
    )


def _make_completion(number: int, row: dict[str, Any], reference: str = "", answer: str = "") -> CompletionSteps:
    steps = tuple(f"{step}\n\n" for step in row["steps"])
    return CompletionSteps(str(number), str(number), row["problem"], reference, steps, answer)


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_labels", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with processbench/*.jsonl and gsm8k/test.jsonl")
    data: Path = parser.parse_args().data
    print("arithmetic: the first incorrect step of a solution, beside people's first error")
    for file in sorted((data / "processbench").glob("*.jsonl")):
        it = measure_arithmetic(file)
        precision = f"precision {it.at_or_after / it.alarms:.3f}" if it.alarms else "precision undefined"
        print(
            f"  {file.stem}: {it.solutions} solutions, {it.errors} with an error; {it.alarms} called incorrect, "
            f"{it.exact} at the first error, {it.at_or_after} at or after it; {precision}, "
            f"recall {it.exact / it.errors:.3f}"
        )
    counts = measure_reference(data)
    called = counts.report()["called correct"]
    print(
        f"reference: gsm8k: {called['correct'] + called['incorrect']} steps called correct, {called['correct']} are; "
        f"precision {counts.precision:.3f}, coverage of correct steps {counts.coverage:.3f}"
    )


if __name__ == "__main__":
    main()
