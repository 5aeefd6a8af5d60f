"""Outcomes of a table of samples: found on this machine, or all over a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

import polars as pl

from stages.common.cluster import Cluster
from stages.common.console import progress
from stages.common.params.outcome import OutcomeParams
from stages.common.tables import OUTCOME
from stages.outcome.grader import Grader
from stages.outcome.reading import Entry
from stages.outcome.verdict import Verdict, grader_version

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

TASK = 2048
"""Samples that one task of a cluster grades: they pay for its processes, and are done again if its node is lost."""


def grade_samples(problems: pl.DataFrame, samples: pl.DataFrame, params: OutcomeParams, workers: int) -> pl.DataFrame:
    """OUTCOME rows of `samples` (SAMPLE columns) against the gold answers of `problems` (PROBLEM columns).

    A sample cut by its length has an answer only in a complete box. Raises `ValueError` for a sample whose problem is
    not there.
    """
    with closing(Grader(workers, params.timeout_s)) as grader:
        return grade_by(grader, problems, samples)


def grade_by(grader: Grader, problems: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """The same rows, by a grader whose processes and memory serve other tables too."""
    ready = _with_gold(problems, samples)
    return _outcomes(ready, progress(grader.grade(_entries(ready)), "grade", total=len(ready), unit="samples"))


def grade_over_ray(
    problems: pl.DataFrame, samples: pl.DataFrame, params: OutcomeParams, workers: int, cluster: Cluster
) -> pl.DataFrame:
    """The same rows as `grade_samples` gives, by tasks on the nodes of `cluster`, each with `workers` processes.

    Raises `ValueError` also where the cluster cannot do it, or a node grades by other rules or packages than this one.
    """
    ready = _with_gold(problems, samples)
    tables = [part.to_arrow() for part in ready.iter_slices(TASK)]
    if not tables:
        return pl.DataFrame(schema=OUTCOME.schema)
    graded = cluster.map(tables, partial(_grade_task, params.timeout_s, workers), workers)
    parts = [cast("pl.DataFrame", pl.from_arrow(table)) for table in progress(graded, "grade", len(tables), "tasks")]
    outcomes = pl.concat(parts).sort("at").select(list(OUTCOME.schema))
    if others := set(outcomes["verifier"]) - {grader_version()}:
        raise ValueError(f"a node of the cluster grades with {others.pop()!r}, this one with {grader_version()!r}")
    return outcomes


def _grade_task(timeout_s: float, workers: int, table: pa.Table) -> pa.Table:
    """OUTCOME columns, and ``at``, of the rows of `_with_gold` in `table`: runs on a node of a cluster."""
    ready = cast("pl.DataFrame", pl.from_arrow(table))
    with closing(Grader(workers, timeout_s)) as grader:
        return _outcomes(ready, grader.grade(_entries(ready))).with_columns(ready["at"]).to_arrow()


def _with_gold(problems: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Columns ``at, sample_id, problem_id, gold, completion, cut`` in the order of OUTCOME; ``at`` counts the rows."""
    gold = dict(problems.select("problem_id", "answer").iter_rows())
    ordered = samples.sort("problem_id", "sample_id")
    ids = ordered.select("sample_id", "problem_id").iter_rows()
    strangers = [sample for sample, problem in ids if problem not in gold]
    if strangers:
        raise ValueError(f"samples: {len(strangers)} have no problem, the first is {strangers[0]}")
    return ordered.select(
        "sample_id",
        "problem_id",
        pl.Series("gold", [gold[problem] for problem in ordered["problem_id"]], pl.String),
        "completion",
        cut=pl.col("finish_reason") == "length",
    ).with_row_index("at")


def _entries(ready: pl.DataFrame) -> Iterator[Entry]:
    return (Entry(*row) for row in ready.select("gold", "completion", "cut").iter_rows())


def _outcomes(ready: pl.DataFrame, verdicts: Iterable[Verdict]) -> pl.DataFrame:
    rows = [
        (sample, problem, verdict.answer, verdict.found_by, verdict.value, verdict.reason, verdict.grader)
        for (sample, problem), verdict in zip(
            ready.select("sample_id", "problem_id").iter_rows(), verdicts, strict=True
        )
    ]
    return pl.DataFrame(rows, schema=OUTCOME.schema, orient="row")
