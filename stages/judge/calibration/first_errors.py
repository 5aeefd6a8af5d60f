"""The first incorrect step by the judge against the first one by people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from stages.judge.calibration.processbench import HALVES, ProcessBenchRow
from stages.judge.label_stats import divide

HEADING = f"{'':22}  rows  errors  correct  late  false alarms  precision: all, labelled, at or after; recall"

MAX_STEP_CHARS = 600
"""Characters of a step in `describe_error`."""

KINDS = ("correct", "late", "false alarm")
"""At the first error; after it, where people labelled nothing; on a step that people found correct."""


@dataclass(frozen=True)
class FirstError:
    """The first step that the judge labels incorrect."""

    row: ProcessBenchRow
    step: int
    reason: str

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        error = self.row.first_error
        if error is None or self.step < error:
            return "false alarm"
        return "correct" if self.step == error else "late"


@dataclass(frozen=True)
class FirstErrorCounts:
    """Counts over solutions; rates are None over nothing."""

    rows: int
    errors: int
    correct: int
    late: int
    false_alarms: int

    @property
    def precision(self) -> float | None:
        """Fraction of all found errors that are exactly the first; late ones count as misses."""
        return divide(self.correct, self.correct + self.late + self.false_alarms)

    @property
    def precision_where_labelled(self) -> float | None:
        """The same over the steps that people labelled: those up to the first error."""
        return divide(self.correct, self.correct + self.false_alarms)

    @property
    def precision_at_or_after(self) -> float | None:
        """Fraction of found errors at the first error or after it."""
        return divide(self.correct + self.late, self.correct + self.late + self.false_alarms)

    @property
    def recall(self) -> float | None:
        """Fraction of erroneous solutions whose first error is found."""
        return divide(self.correct, self.errors)


def list_first_errors(rows: Sequence[ProcessBenchRow], labels: pl.DataFrame) -> list[FirstError]:
    """The judge's first incorrect step in each of `rows` that has one, from LABEL rows."""
    first = labels.filter(pl.col("step") == pl.col("first_error"))
    by_sample = {
        sample_id: (step, reason) for sample_id, step, reason in first.select("sample_id", "step", "reason").iter_rows()
    }
    return [FirstError(row, *by_sample[row.sample_id]) for row in rows if row.sample_id in by_sample]


def count_first_errors(rows: Sequence[ProcessBenchRow], errors: Sequence[FirstError]) -> FirstErrorCounts:
    """Counts of `errors` over the `rows` in which the judge looked for them."""
    kinds = [error.kind for error in errors]
    num_errors = sum(row.first_error is not None for row in rows)
    return FirstErrorCounts(len(rows), num_errors, *(kinds.count(kind) for kind in KINDS))


def format_first_errors(files: Sequence[tuple[str, ProcessBenchRow]], labels: pl.DataFrame) -> Iterator[str]:
    """A table of counts by file and half of the rows; `files` holds each row with the name of its file."""
    yield HEADING
    for name in [*dict.fromkeys(name for name, _ in files), "all"]:
        for half in HALVES:
            rows = [row for file, row in files if name in (file, "all") and half in (row.half, "all")]
            counts = count_first_errors(rows, list_first_errors(rows, labels))
            rates = (counts.precision, counts.precision_where_labelled, counts.precision_at_or_after, counts.recall)
            numbers = f"{counts.rows:6}{counts.errors:8}{counts.correct:9}{counts.late:6}{counts.false_alarms:14}"
            shown = "".join(f"{'-' if rate is None else f'{rate:.3f}':>7}" for rate in rates)
            yield f"{f'{name} {half}':22}{numbers}  {shown}"


def describe_error(error: FirstError) -> str:
    """The error and its step in two lines."""
    step = " ".join(error.row.steps[error.step].split())[:MAX_STEP_CHARS]
    expected = "none" if error.row.first_error is None else error.row.first_error
    return f"{error.kind}: {error.row.key} step {error.step}, first error {expected}: {error.reason}\n  {step}"
