"""What a rule finds: its first False in a solution against the first error that people found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stages.judge.people import Solution
from stages.judge.rules import Rule


@dataclass(frozen=True)
class Finding:
    """Where a judge first said False, and why."""

    solution: Solution
    step: int
    reason: str

    @property
    def kind(self) -> str:
        """right, late (after the first error, where the data says nothing), or false alarm (on a right step)."""
        error = self.solution.first_error
        if error is None or self.step < error:
            return "false alarm"
        return "right" if self.step == error else "late"


@dataclass(frozen=True)
class Score:
    """Counts over solutions; shares are None where nothing was found."""

    rows: int
    errors: int
    right: int
    late: int
    false_alarms: int

    @property
    def said(self) -> int:
        return self.right + self.late + self.false_alarms

    @property
    def precision(self) -> float | None:
        """Share of all findings that are exactly the first error; late ones count against it."""
        return _share(self.right, self.said)

    @property
    def precision_where_labelled(self) -> float | None:
        """The same over the steps that people labelled: those up to the first error."""
        return _share(self.right, self.right + self.false_alarms)

    @property
    def precision_at_or_after(self) -> float | None:
        """Share of findings at the first error or after it."""
        return _share(self.right + self.late, self.said)

    @property
    def recall(self) -> float | None:
        """Share of solutions with an error whose first error is found."""
        return _share(self.right, self.errors)


def find(rule: Rule, solution: Solution) -> Finding | None:
    """The first False of `rule` on `solution`."""
    verdicts = rule(solution.problem, solution.steps)
    return next(
        (Finding(solution, step, reason) for step, (label, reason) in enumerate(verdicts) if label is False), None
    )


def score(solutions: Iterable[Solution], findings: Iterable[Finding]) -> Score:
    """Counts of `findings` over the `solutions` that they were looked for in."""
    first_errors = [solution.first_error for solution in solutions]
    kinds = [finding.kind for finding in findings]
    errors = sum(error is not None for error in first_errors)
    return Score(len(first_errors), errors, *(kinds.count(kind) for kind in ("right", "late", "false alarm")))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
