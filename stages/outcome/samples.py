"""Outcomes of a table of samples."""

from __future__ import annotations

from contextlib import closing

import polars as pl

from stages.console import progress
from stages.outcome.grader import Grader
from stages.outcome.reading import Entry
from stages.params.outcome import OutcomeParams
from stages.records import OUTCOME


def grade_samples(problems: pl.DataFrame, samples: pl.DataFrame, params: OutcomeParams, workers: int) -> pl.DataFrame:
    """OUTCOME rows of `samples` (SAMPLE columns) against the gold answers of `problems` (PROBLEM columns).

    A sample cut by its length has an answer only in a complete box. Raises `ValueError` for a sample whose problem is
    not there.
    """
    gold = dict(problems.select("problem_id", "answer").iter_rows())
    ordered = samples.sort("problem_id", "sample_id")
    ids = list(ordered.select("sample_id", "problem_id").iter_rows())
    strangers = [sample for sample, problem in ids if problem not in gold]
    if strangers:
        raise ValueError(f"samples: {len(strangers)} have no problem, the first is {strangers[0]}")
    entries = (
        Entry(gold[problem], text, finish == "length")
        for problem, text, finish in ordered.select("problem_id", "text", "finish_reason").iter_rows()
    )
    rows = []
    with closing(Grader(workers, params.timeout_s)) as grader:
        verdicts = progress(grader.grade(entries), "grade", total=len(ids), unit="samples")
        for (sample, problem), verdict in zip(ids, verdicts, strict=True):
            rows.append(
                (sample, problem, verdict.answer, verdict.found_by, verdict.value, verdict.reason, verdict.grader)
            )
    return pl.DataFrame(rows, schema=OUTCOME.schema, orient="row")
