"""A few labelled completions for people to read: chosen by hash, mixed by kind, bounded in length."""

from itertools import chain, zip_longest
from typing import Any

import polars as pl

from stages.common.tables import content_hash

MAX_EXAMPLES = 12
"""Completions kept."""

MAX_EXCERPT_CHARS = 4000
"""Characters kept of a completion, and of its problem."""

EXAMPLE_KINDS = ("correct answer, incorrect step", "correct answer", "incorrect answer", "unknown answer")
"""What a completion is an example of, the most telling first."""


def choose_examples(
    problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame, labels: pl.DataFrame, summary: pl.DataFrame
) -> list[dict[str, Any]]:
    """At most `MAX_EXAMPLES` of the completions in `summary` (rows of `summarize_samples`), the kinds in turn.

    They are ordered by a hash of the problem, so the same problems come first in every round.
    """
    kind = (
        pl.when(pl.col("is_correct") & (pl.col("num_incorrect_steps") > 0)).then(pl.lit(EXAMPLE_KINDS[0]))
        .when(pl.col("is_correct")).then(pl.lit(EXAMPLE_KINDS[1]))
        .when(~pl.col("is_correct")).then(pl.lit(EXAMPLE_KINDS[2]))
        .otherwise(pl.lit(EXAMPLE_KINDS[3]))
    )  # fmt: skip
    order = pl.Series("order", [content_hash("example", problem) for problem in summary["problem_id"]], pl.String)
    ranked = list(summary.with_columns(kind.alias("kind"), order).sort("order").iter_rows(named=True))
    in_turn = zip_longest(*([row for row in ranked if row["kind"] == kind] for kind in EXAMPLE_KINDS))
    chosen = [row for row in chain.from_iterable(in_turn) if row is not None][:MAX_EXAMPLES]
    is_chosen = pl.col("sample_id").is_in([row["sample_id"] for row in chosen])
    problem_of = {row["problem_id"]: row for row in problems.iter_rows(named=True)}
    completion_of = dict(samples.filter(is_chosen).select("sample_id", "completion").iter_rows())
    spans = _collect_spans(steps.filter(is_chosen), labels.filter(is_chosen))
    return [
        _build_example(row, problem_of[row["problem_id"]], completion_of[row["sample_id"]], spans) for row in chosen
    ]


def _collect_spans(steps: pl.DataFrame, labels: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The labelled spans of each sample, in order."""
    labelled = steps.join(labels.select("sample_id", "step", "label", "reason"), on=["sample_id", "step"], how="left")
    spans: dict[str, list[dict[str, Any]]] = {}
    for row in labelled.sort("sample_id", "step").iter_rows(named=True):
        spans.setdefault(row["sample_id"], []).append({key: row[key] for key in ("start", "end", "label", "reason")})
    return spans


def _build_example(
    row: dict[str, Any], problem: dict[str, Any], completion: str, spans_of: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """One example as the report stores it; spans beyond the excerpt are shortened or left out."""
    limit = MAX_EXCERPT_CHARS
    spans = spans_of.get(row["sample_id"], [])
    return {
        "kind": row["kind"],
        "problem_id": row["problem_id"],
        "sample_id": row["sample_id"],
        "problem": problem["problem"][:limit],
        "gold": problem["answer"][:limit],
        "completion": completion[:limit],
        "num_chars": len(completion),
        "steps": [{**span, "end": min(span["end"], limit)} for span in spans if span["start"] < limit],
        "num_steps": len(spans),
        "answer": None if row["answer"] is None else row["answer"][:limit],
        "is_correct": row["is_correct"],
        "finish_reason": row["finish_reason"],
    }
