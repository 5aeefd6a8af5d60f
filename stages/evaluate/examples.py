"""A few labelled completions for people to read: chosen by hash, mixed by kind, bounded in length."""

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

    They are ordered by a hash of the problem, so the same problems come first in every round. Texts are cut at
    `MAX_EXCERPT_CHARS`; spans beyond the excerpt are shortened or left out.
    """
    kind = (
        pl.when(pl.col("is_correct") & (pl.col("num_incorrect_steps") > 0)).then(pl.lit(EXAMPLE_KINDS[0]))
        .when(pl.col("is_correct")).then(pl.lit(EXAMPLE_KINDS[1]))
        .when(~pl.col("is_correct")).then(pl.lit(EXAMPLE_KINDS[2]))
        .otherwise(pl.lit(EXAMPLE_KINDS[3]))
    )  # fmt: skip
    order = pl.Series("order", [content_hash("example", problem) for problem in summary["problem_id"]], pl.String)
    chosen = (
        summary.with_columns(order, kind=kind.cast(pl.Enum(EXAMPLE_KINDS)))
        .sort("order", maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("kind"))
        .sort("turn", "kind")
        .head(MAX_EXAMPLES)
        .join(problems.select("problem_id", "problem", gold="answer"), on="problem_id", how="left")
        .join(samples.select("sample_id", "completion"), on="sample_id", how="left")
    )
    end = pl.col("end").clip(upper_bound=MAX_EXCERPT_CHARS)
    spans = (
        steps.join(chosen.select("sample_id"), on="sample_id", how="semi")
        .join(labels.select("sample_id", "step", "label", "reason"), on=["sample_id", "step"], how="left")
        .sort("sample_id", "step")
        .group_by("sample_id")
        .agg(
            num_steps=pl.len(),
            steps=pl.struct("start", end, "label", "reason").filter(pl.col("start") < MAX_EXCERPT_CHARS),
        )
    )
    rows = (
        chosen.join(spans, on="sample_id", how="left")
        .sort("turn", "kind")
        .with_columns(
            pl.col("problem", "gold", "completion", "answer").str.slice(0, MAX_EXCERPT_CHARS),
            pl.col("num_steps").fill_null(0),
            num_chars=pl.col("completion").str.len_chars(),
        )
        .select(
            *("kind", "problem_id", "sample_id", "problem", "gold", "completion", "num_chars", "steps", "num_steps"),
            *("answer", "is_correct", "finish_reason"),
        )
    )
    return [{**row, "steps": row["steps"] or []} for row in rows.iter_rows(named=True)]
