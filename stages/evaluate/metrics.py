"""From the tables of an evaluation to the counts behind its metrics."""

import polars as pl

from stages.common.statistics import Counts, count_by_problem

IS_CORRECT = pl.col("is_correct").fill_null(False)
_IS_INCORRECT = ~pl.col("is_correct").fill_null(True)
_ONE = pl.lit(True)

COMPARED_METRICS = ("pass_at_1", "stepwise_error")
"""Metrics of completions whose counts by problem a report stores, to compare rounds."""


def summarize_samples(samples: pl.DataFrame, labels: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """One row per sample: its outcome and the numbers of its correct, incorrect and unknown steps.

    Columns ``problem_id, sample_id, finish_reason, completion_tokens, answer, is_correct, num_correct_steps,
    num_incorrect_steps, num_unknown_steps``, sorted by problem_id.
    """
    steps = labels.group_by("sample_id").agg(
        num_correct_steps=pl.col("label").fill_null(False).sum(),
        num_incorrect_steps=(~pl.col("label").fill_null(True)).sum(),
        num_unknown_steps=pl.col("label").is_null().sum(),
    )
    return (
        samples.select("problem_id", "sample_id", "sample_index", "finish_reason", "completion_tokens")
        .join(outcomes.select("sample_id", "answer", "is_correct"), on="sample_id", how="left", validate="1:1")
        .join(steps, on="sample_id", how="left", validate="1:1")
        .with_columns(pl.col("^num_.*_steps$").fill_null(0).cast(pl.Int64))
        .sort("problem_id", "sample_index")
        .drop("sample_index")
    )


def count_greedy(summary: pl.DataFrame) -> dict[str, Counts]:
    """Counts of one greedy completion per problem (rows of `summarize_samples`).

    ``pass_at_1``: correct answers among problems; an unknown verdict is not correct. The others as in
    `count_completions`.
    """
    return {"pass_at_1": count_by_problem(summary, IS_CORRECT, _ONE)} | count_completions(summary)


def count_completions(summary: pl.DataFrame) -> dict[str, Counts]:
    """Counts of completions with labelled steps, any number per problem (rows of `summarize_samples`).

    - ``stepwise_error``: correct answers with an incorrect step, among correct answers with a step of known label.
    - ``incorrect_answer_correct_steps``: incorrect answers with correct steps only, among incorrect answers with a
      step of known label.
    - ``unknown_steps``: steps without a label among steps; ``unknown_outcome``: unknown verdicts among completions.
    - ``no_answer``, ``truncated``, ``tokens_per_completion``: see `count_formats`.

    A completion without any known label says nothing about steps, so neither of the two ratios of steps counts it.
    """
    correct, incorrect, unknown = (pl.col(f"num_{name}_steps") for name in ("correct", "incorrect", "unknown"))
    has_labels = (correct + incorrect) > 0
    is_flawless = (incorrect == 0) & (unknown == 0)
    return {
        "stepwise_error": count_by_problem(summary, IS_CORRECT & (incorrect > 0), IS_CORRECT & has_labels),
        "incorrect_answer_correct_steps": count_by_problem(
            summary, _IS_INCORRECT & has_labels & is_flawless, _IS_INCORRECT & has_labels
        ),
        "unknown_steps": count_by_problem(summary, unknown, correct + incorrect + unknown),
        "unknown_outcome": count_by_problem(summary, pl.col("is_correct").is_null(), _ONE),
        **count_formats(summary),
    }


def count_formats(summary: pl.DataFrame) -> dict[str, Counts]:
    """Counts that need no judge.

    ``no_answer`` and ``truncated``: completions without an answer, and truncated by the token limit, among completions;
    ``tokens_per_completion``: completion tokens by completions whose tokens were recorded.
    """
    tokens = pl.col("completion_tokens")
    return {
        "no_answer": count_by_problem(summary, pl.col("answer").is_null(), _ONE),
        "truncated": count_by_problem(summary, pl.col("finish_reason") == "length", _ONE),
        "tokens_per_completion": count_by_problem(summary, tokens.fill_null(0), tokens.is_not_null()),
    }


def count_apparent_errors(summary: pl.DataFrame) -> Counts:
    """Correct answers in which the judge labels some step incorrect, among all correct answers that have a step.

    Unlike for ``stepwise_error``, a completion without any known label counts as one without an incorrect step,
    because a judge's error rates are measured that way.
    """
    has_steps = pl.sum_horizontal("^num_.*_steps$") > 0
    return count_by_problem(summary, IS_CORRECT & (pl.col("num_incorrect_steps") > 0), IS_CORRECT & has_steps)
