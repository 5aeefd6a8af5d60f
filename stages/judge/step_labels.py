"""What goes into a judge and comes out of it: completions by their steps, and a label per step."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl


@dataclass(frozen=True)
class CompletionSteps:
    """A completion cut into steps, with its problem and the reference solution."""

    sample_id: str
    problem_id: str
    problem: str
    reference: str
    steps: tuple[str, ...]
    answer: str = ""
    """The gold answer."""
    task: str = "math"
    """The problem's task, which names the verifier of its answers."""

    @property
    def num_chars(self) -> int:
        """Characters of all that a judge is shown."""
        return len(self.problem) + len(self.reference) + sum(map(len, self.steps))


@dataclass(frozen=True)
class StepLabel:
    """A step's label; None is unknown."""

    is_correct: bool | None
    reason: str
    agreement: float
    """Fraction, 0 to 1, of all votes that say `is_correct`."""
    unknown_reason: str | None = None
    """Why the label is unknown, in a few words without detail, for counting; None where it is known."""


SampleLabels = dict[str, list[StepLabel]]
"""Labels of a completion's steps, in order, by sample_id."""


@dataclass(frozen=True)
class Judgement:
    """Labels, and the replies that they come from."""

    labels: SampleLabels
    replies: list[dict[str, Any]] = field(default_factory=list)
    """REPLY rows; none for a judge without language models."""
    invalid_replies: Counter[str] = field(default_factory=Counter)
    """Invalid replies by what is wrong with them."""


@dataclass(frozen=True)
class LabelEvidence:
    """Tables from which an audit derives labels again: PROBLEM, SAMPLE, STEP, LABEL and REPLY rows."""

    problems: pl.DataFrame
    samples: pl.DataFrame
    steps: pl.DataFrame
    labels: pl.DataFrame
    replies: pl.DataFrame | None
    """None where none are kept."""


def join_completions(problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame) -> Iterator[CompletionSteps]:
    """Completions of `steps` (STEP rows of `samples`, SAMPLE rows, of `problems`, PROBLEM rows), sorted by problem."""
    by_id = {row[0]: row for row in problems.select("problem_id", "problem", "solution", "answer", "task").iter_rows()}
    texts = dict(samples.select("sample_id", "completion").iter_rows())
    ordered = steps.sort("problem_id", "sample_id", "step")
    for (problem_id, sample_id), group in ordered.group_by("problem_id", "sample_id", maintain_order=True):
        text = texts[sample_id]
        spans = tuple(text[start:end] for start, end in group.select("start", "end").iter_rows())
        _, problem, reference, answer, task = by_id[problem_id]
        yield CompletionSteps(str(sample_id), str(problem_id), problem, reference, spans, answer, task)


def find_first_error(labels: Sequence[bool | None]) -> int | None:
    """0-based position of the first incorrect step, None if there is none."""
    return next((step for step, is_correct in enumerate(labels) if is_correct is False), None)
