"""The first incorrect step by the judge against the first one by people."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from stages.judge.calibration.labelled_solutions import LabelledSolution
from stages.judge.label_stats import divide

KINDS = ("correct", "late", "false alarm")
"""At the first error; after it, where people labelled nothing; on a step that people found correct."""


@dataclass(frozen=True)
class FirstError:
    """The first step that the judge labels incorrect."""

    solution: LabelledSolution
    step: int
    reason: str

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        error = self.solution.first_error
        if error is None or self.step < error:
            return "false alarm"
        return "correct" if self.step == error else "late"


def list_first_errors(solutions: Sequence[LabelledSolution], labels: pl.DataFrame) -> list[FirstError]:
    """The judge's first incorrect step in each of `solutions` that has one, from LABEL rows."""
    first = labels.filter(pl.col("step") == pl.col("first_error")).select("sample_id", "step", "reason")
    by_sample = {sample_id: (step, reason) for sample_id, step, reason in first.iter_rows()}
    return [FirstError(it, *by_sample[it.sample_id]) for it in solutions if it.sample_id in by_sample]


def count_first_errors(
    solutions: Sequence[LabelledSolution], errors: Sequence[FirstError]
) -> dict[str, int | float | None]:
    """Counts of `errors` over the `solutions` in which the judge looked for them, and rates, None over nothing.

    ``precision`` is the fraction of all found errors that are exactly the first one, ``precision_where_labelled`` the
    same without late ones, ``precision_at_or_after`` the fraction at the first error or after it, ``recall`` the
    fraction of erroneous solutions whose first error is found.
    """
    correct, late, alarms = (sum(error.kind == kind for error in errors) for kind in KINDS)
    num_errors = sum(it.first_error is not None for it in solutions)
    return {
        "solutions": len(solutions),
        "errors": num_errors,
        "correct": correct,
        "late": late,
        "false_alarms": alarms,
        "precision": divide(correct, len(errors)),
        "precision_where_labelled": divide(correct, correct + alarms),
        "precision_at_or_after": divide(correct + late, len(errors)),
        "recall": divide(correct, num_errors),
    }
