"""A round of given completions with a judge's labels and outcomes, written as tables, for people to label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.common.tables import content_hash
from tests.support.small_round import PART
from tests.support.table_rows import make_problem, make_sample, make_steps, write_rows

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
    problems, samples, steps, labels, outcomes = [], [], [], [], []
    for number, it in enumerate(completions):
        ids = {"sample_id": it.sample_id, "problem_id": it.problem_id}
        cells = {"source": "olympiads", "solution": "By addition.", "answer": str(number), "origin_row": number}
        problems.append(make_problem(it.problem_id, f"Problem {number}: $x={number}$?", **cells))
        samples.append(make_sample(ids, "".join(it.steps)))
        steps += make_steps(ids, it.steps)
        for step, label in enumerate(it.labels):
            cells = {"reason": it.reason, "num_votes": 3, "agreement": 0.5, "first_error": None, "judge": "j"}
            labels.append(ids | {"step": step, "label": label} | cells)
        verdict = {"answer": "EXTRACTED ANSWER", "extraction_rule": "box", "reason": VERDICT_REASON, "verifier": "g"}
        outcomes.append(ids | verdict | {"is_correct": it.is_correct})
    write_rows(place, PART, problems=problems, samples=samples, steps=steps, labels=labels, outcomes=outcomes)
