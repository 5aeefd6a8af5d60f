"""A round of given completions with a judge's labels and outcomes, written as tables, for people to label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, STEP, content_hash, write_table
from tests.support.small_round import PART

JUDGE_REASON = "REASON OF THE JUDGE"
VERDICT_REASON = "REASON OF THE VERIFIER"
DISAGREEMENT = f"judges disagree: {JUDGE_REASON}"
SECRETS = (JUDGE_REASON, VERDICT_REASON, "EXTRACTED ANSWER", "judges disagree")
"""Texts that are in labels and outcomes only."""


@dataclass(frozen=True)
class Completion:
    """One completion of a problem of its own."""

    steps: Sequence[str]
    labels: Sequence[bool | None]
    is_correct: bool | None = True
    reason: str = JUDGE_REASON

    @property
    def sample_id(self) -> str:
        return content_hash("sample", list(self.steps))

    @property
    def problem_id(self) -> str:
        return content_hash("problem", list(self.steps))


FIRST_ERRORS = (None, 2, 3, None, 0)
"""Where the kinds of `make_completions` state a false sum, which the judge finds in two of three."""


def make_completions(count: int, num_steps: int = 4) -> list[Completion]:
    """Of five kinds in turn: judges disagree, correct answer with an incorrect step, an unknown step, and two more."""
    kinds: list[tuple[list[bool | None], bool | None, str]] = [
        ([True, None, True, True], True, DISAGREEMENT),
        ([True, True, False, True], True, JUDGE_REASON),
        ([None, True, True, True], False, JUDGE_REASON),
        ([True, True, True, True], True, JUDGE_REASON),
        ([False, True, True, True], False, JUDGE_REASON),
    ]
    made = []
    for number in range(count):
        labels, is_correct, reason = kinds[number % 5]
        sums = [number + step + (step == FIRST_ERRORS[number % 5]) for step in range(num_steps)]
        steps = [f"Of solution {number}: ${number} + {step} = {sum_}$.\n" for step, sum_ in enumerate(sums)]
        made.append(Completion(steps, labels[:num_steps], is_correct, reason))
    return made


def write_labelled_round(place: Path, completions: Sequence[Completion]) -> None:
    """The tables of round `PART` with `completions`."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("problems", "samples", "steps", "labels", "outcomes")
    }
    for number, it in enumerate(completions):
        ids = {"sample_id": it.sample_id, "problem_id": it.problem_id}
        rows["problems"].append(
            dict.fromkeys(PROBLEM.schema)
            | {
                "problem_id": it.problem_id,
                "split": "train",
                "source": "olympiads",
                "problem": f"Problem {number}: $x={number}$?",
            }
            | {"solution": "By addition.", "answer": str(number), "origin": "o", "origin_row": number, "task": "math"}
        )
        rows["samples"].append(
            dict.fromkeys(SAMPLE.schema)
            | ids
            | {
                "policy": "p",
                "sampling_hash": "s",
                "sample_index": 0,
                "completion": "".join(it.steps),
                "finish_reason": "stop",
            }
        )
        start = 0
        for step, (text, label) in enumerate(zip(it.steps, it.labels, strict=True)):
            rows["steps"].append(ids | {"step": step, "start": start, "end": start + len(text)})
            start += len(text)
            cells = {"reason": it.reason, "num_votes": 3, "agreement": 0.5, "first_error": None, "judge": "j"}
            rows["labels"].append(ids | {"step": step, "label": label} | cells)
        verdict = {"answer": "EXTRACTED ANSWER", "extraction_rule": "box", "reason": VERDICT_REASON, "verifier": "g"}
        rows["outcomes"].append(ids | verdict | {"is_correct": it.is_correct})
    folders = {"problems": PART.problems, "samples": PART.samples, "steps": PART.steps, "labels": PART.labels}
    tables = {"problems": PROBLEM, "samples": SAMPLE, "steps": STEP, "labels": LABEL, "outcomes": OUTCOME}
    for name, table in tables.items():
        folder = folders.get(name, PART.outcomes)
        assert folder is not None
        write_table(place / folder, table, pl.DataFrame(rows[name], schema=table.schema), 0)
