"""Outcomes: does a solution's final answer equal the gold answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.outcome.extract import Answer, extract_answer
from stages.outcome.grade import grade, grade_many
from stages.outcome.verdict import Verdict, grader_version

if TYPE_CHECKING:
    import polars as pl

    from stages.common.params.outcome import OutcomeParams

__all__ = ["Answer", "Verdict", "extract_answer", "grade", "grade_many", "grade_samples", "grader_version"]


def grade_samples(problems: pl.DataFrame, samples: pl.DataFrame, params: OutcomeParams, workers: int) -> pl.DataFrame:
    """See `stages.outcome.samples.grade_samples`. Tables are loaded late: the grading processes do without them."""
    from stages.outcome import samples as tables

    return tables.grade_samples(problems, samples, params, workers)
