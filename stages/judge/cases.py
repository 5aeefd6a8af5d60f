"""What is put before a judge: a solution by its steps, with its problem and the reference solution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Case:
    """A sampled solution to be judged."""

    sample_id: str
    problem_id: str
    problem: str
    reference: str
    steps: tuple[str, ...]

    @property
    def characters(self) -> int:
        """Length of all that a judge is shown of it."""
        return len(self.problem) + len(self.reference) + sum(map(len, self.steps))


def cases_of(problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame) -> Iterator[Case]:
    """The solutions that `steps` (STEP rows of `samples`, SAMPLE rows, of `problems`) make up, those of a problem
    together."""
    known = {row[0]: row for row in problems.select("problem_id", "problem", "solution").iter_rows()}
    texts = dict(samples.select("sample_id", "completion").iter_rows())
    ordered = steps.sort("problem_id", "sample_id", "step")
    for (problem_id, sample_id), group in ordered.group_by("problem_id", "sample_id", maintain_order=True):
        text = texts[sample_id]
        parts = tuple(text[start:end] for start, end in group.select("start", "end").iter_rows())
        _, problem, reference = known[problem_id]
        yield Case(str(sample_id), str(problem_id), problem, reference, parts)
