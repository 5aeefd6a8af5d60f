"""Verdicts for a table of samples, on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

import polars as pl

from stages.common.cluster import Cluster
from stages.common.errors import UserError
from stages.common.params.outcome import OutcomeParams
from stages.common.progress import progress
from stages.common.tables import OUTCOME
from stages.common.verifiers import Verdict, VerifierInput, VerifierSet

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

TASK_SAMPLES = 2048
"""Samples that one task of a cluster verifies: enough to pay for its processes, few enough to repeat if a node dies."""


def verify_samples(
    problems: pl.DataFrame, samples: pl.DataFrame, params: OutcomeParams, num_workers: int
) -> pl.DataFrame:
    """Return OUTCOME rows of `samples` (SAMPLE columns) against the gold answers of `problems` (PROBLEM columns).

    The verifier is chosen by the problem's `task`. A truncated sample has an answer only where the verifier finds a
    complete one. Raises `UserError` for a sample without a problem and for an unknown task.
    """
    with closing(VerifierSet(num_workers, params.timeout_s, params.guess)) as verifiers:
        return verify_with(verifiers, problems, samples)


def verify_with(verifiers: VerifierSet, problems: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `verify_samples` by verifiers that stay open for further tables."""
    return _verify_inputs(verifiers, _join_gold(verifiers, problems, samples)).select(list(OUTCOME.schema))


def verify_on_ray(
    problems: pl.DataFrame, samples: pl.DataFrame, params: OutcomeParams, num_workers: int, cluster: Cluster
) -> pl.DataFrame:
    """Return the rows of `verify_samples`, computed by tasks on the nodes of `cluster` with `num_workers` CPUs each.

    Also raises `UserError` if a node has another version of a verifier, and `ClusterError` if the cluster fails.
    """
    with closing(VerifierSet(1, params.timeout_s)) as verifiers:
        inputs = _join_gold(verifiers, problems, samples)
        versions = {verifiers.get(task).version for task in inputs["task"].unique().to_list()}
    tables = [part.to_arrow() for part in inputs.iter_slices(TASK_SAMPLES)]
    if not tables:
        return pl.DataFrame(schema=OUTCOME.schema)
    replies = cluster.map(tables, partial(_verify_on_node, params, num_workers), num_workers)
    parts = [cast("pl.DataFrame", pl.from_arrow(table)) for table in progress(replies, "verify", len(tables), "tasks")]
    outcomes = pl.concat(parts).sort("row").select(list(OUTCOME.schema))
    if others := set(outcomes["verifier"]) - versions:
        raise UserError(f"a node of the cluster has verifier {others.pop()!r}, this machine {sorted(versions)}")
    return outcomes


def _verify_on_node(params: OutcomeParams, num_workers: int, table: pa.Table) -> pa.Table:
    """Return OUTCOME columns and ``row`` for inputs in `table`: runs on a node of a cluster."""
    with closing(VerifierSet(num_workers, params.timeout_s, params.guess)) as verifiers:
        return _verify_inputs(verifiers, cast("pl.DataFrame", pl.from_arrow(table))).to_arrow()


def _join_gold(verifiers: VerifierSet, problems: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Return ``row, sample_id, problem_id, completion, is_truncated, task, gold`` in the order of OUTCOME.

    Gold answers are completed by the text of their problem.
    """
    problems = problems.join(samples, on="problem_id", how="semi", maintain_order="left")
    columns = problems.select("task", "problem", "answer").iter_rows()
    golds = [verifiers.get(task).complete_answer(problem, answer) for task, problem, answer in columns]
    gold = problems.select("problem_id", "task", pl.Series("gold", golds, dtype=pl.String))
    inputs = samples.select(
        "sample_id", "problem_id", "completion", is_truncated=pl.col("finish_reason") == "length"
    ).join(gold, on="problem_id", how="left", validate="m:1")
    orphans = inputs.filter(pl.col("gold").is_null())["sample_id"]
    if len(orphans):
        raise UserError(f"samples: {len(orphans)} have no problem, the first is {orphans[0]}")
    return inputs.sort("problem_id", "sample_id").with_row_index("row")


def _verify_inputs(verifiers: VerifierSet, inputs: pl.DataFrame) -> pl.DataFrame:
    """Return OUTCOME columns and ``row`` for the rows of `_join_gold`, in their order."""
    parts = [_verify_task(verifiers, part) for part in inputs.partition_by("task", maintain_order=True)]
    return pl.concat([pl.DataFrame(schema={"row": pl.UInt32, **OUTCOME.schema}), *parts]).sort("row")


def _verify_task(verifiers: VerifierSet, inputs: pl.DataFrame) -> pl.DataFrame:
    verifier = verifiers.get(inputs["task"][0])
    rows = inputs.select("gold", "completion", "is_truncated").iter_rows()
    verdicts: Iterable[Verdict] = verifier.verify_many(VerifierInput(*row) for row in rows)
    ids = inputs.select("row", "sample_id", "problem_id").iter_rows()
    outcomes = [
        (*own_ids, one.answer, one.extraction_rule, one.is_correct, one.reason, one.verifier)
        for own_ids, one in zip(ids, progress(verdicts, "verify", total=len(inputs), unit="samples"), strict=True)
    ]
    return pl.DataFrame(outcomes, schema={"row": pl.UInt32, **OUTCOME.schema}, orient="row")
