"""A few labelled solutions for people to read: chosen by hash, mixed by kind, bounded in length."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Any

import polars as pl

from stages.common.tables import content_hash

COUNT = 12
"""Solutions kept."""

EXCERPT = 4000
"""Characters kept of a solution, and of its problem."""

KINDS = ("right with a wrong step", "right", "wrong", "cannot tell")
"""What a solution is an example of, the most telling first."""


def choose_examples(
    problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame, judged: pl.DataFrame, solutions: pl.DataFrame
) -> list[dict[str, Any]]:
    """At most `COUNT` of `solutions` (rows of `per_sample`) with what is known about them, kinds taking turns.

    The order is that of a hash of the problem, hence the same problems come first in every round.
    """
    kind = (
        pl.when(pl.col("is_correct") & (pl.col("wrong_steps") > 0)).then(pl.lit(KINDS[0]))
        .when(pl.col("is_correct")).then(pl.lit(KINDS[1]))
        .when(~pl.col("is_correct")).then(pl.lit(KINDS[2]))
        .otherwise(pl.lit(KINDS[3]))
    )  # fmt: skip
    order = pl.Series("order", [content_hash("example", problem) for problem in solutions["problem_id"]], pl.String)
    ranked = solutions.with_columns(kind.alias("kind"), order).sort("order")
    turns = zip_longest(*([row for row in ranked.iter_rows(named=True) if row["kind"] == kind] for kind in KINDS))
    chosen = [row for row in chain.from_iterable(turns) if row is not None][:COUNT]
    ids = [row["sample_id"] for row in chosen]
    problem_of = {row["problem_id"]: row for row in problems.iter_rows(named=True)}
    text_of = dict(samples.filter(pl.col("sample_id").is_in(ids)).select("sample_id", "completion").iter_rows())
    spans = _spans(steps.filter(pl.col("sample_id").is_in(ids)), judged.filter(pl.col("sample_id").is_in(ids)))
    return [
        _example(row, problem_of[row["problem_id"]], text_of[row["sample_id"]], spans.get(row["sample_id"], []))
        for row in chosen
    ]


def _spans(steps: pl.DataFrame, judged: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The labelled spans of each sample, in order."""
    labelled = steps.join(judged.select("sample_id", "step", "label", "reason"), on=["sample_id", "step"], how="left")
    spans: dict[str, list[dict[str, Any]]] = {}
    for row in labelled.sort("sample_id", "step").iter_rows(named=True):
        span = {name: row[name] for name in ("start", "end", "label", "reason")}
        spans.setdefault(row["sample_id"], []).append(span)
    return spans


def _example(row: dict[str, Any], problem: dict[str, Any], text: str, spans: list[dict[str, Any]]) -> dict[str, Any]:
    """One example as it stands in the report; spans beyond the excerpt are cut or left out."""
    kept = [{**span, "end": min(span["end"], EXCERPT)} for span in spans if span["start"] < EXCERPT]
    return {
        "kind": row["kind"],
        "problem_id": row["problem_id"],
        "sample_id": row["sample_id"],
        "problem": problem["problem"][:EXCERPT],
        "gold": problem["answer"][:EXCERPT],
        "text": text[:EXCERPT],
        "characters": len(text),
        "steps": kept,
        "step_count": len(spans),
        "answer": None if row["answer"] is None else row["answer"][:EXCERPT],
        "is_correct": row["is_correct"],
        "finish_reason": row["finish_reason"],
    }
