"""Which votes are asked for, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from stages.judge.cases import Case

WHOLE = -1
"""In place of a step's number where a call is about all steps of a sample."""


@dataclass(frozen=True)
class Question:
    """One vote wanted: on all steps of a case, or on the one at `step`."""

    case: Case
    step: int
    vote: int

    @property
    def numbers(self) -> list[int]:
        """The steps asked about, counted from 1 as in the prompt."""
        return list(range(1, len(self.case.steps) + 1)) if self.step == WHOLE else [self.step + 1]

    @property
    def shown(self) -> tuple[str, ...]:
        """The steps that stand in the prompt: all, or those up to the one asked about."""
        return self.case.steps if self.step == WHOLE else self.case.steps[: self.step + 1]


def questions_on(cases: Sequence[Case], mode: Literal["solution", "step"], votes: int) -> Iterator[Question]:
    """In an order in which neighbours share the beginning of their prompts: by problem, then by sample, then by step.

    A case without steps is not asked about.
    """
    for case in sorted(cases, key=lambda case: (case.problem_id, case.sample_id)):
        steps = range(len(case.steps)) if mode == "step" else [WHOLE][: len(case.steps)]
        for step in steps:
            for vote in range(votes):
                yield Question(case, step, vote)
