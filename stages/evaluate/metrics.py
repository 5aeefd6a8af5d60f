"""From the tables of an evaluation to what its metrics count."""

from __future__ import annotations

import polars as pl

from stages.common.statistics import Counts, count

RIGHT = pl.col("is_correct").fill_null(False)
_WRONG = ~pl.col("is_correct").fill_null(True)
_ONE = pl.lit(True)

COMPARED = ("pass_at_1", "stepwise_error")
"""Metrics of solutions whose counts by problem a report keeps, to compare rounds."""


def per_sample(samples: pl.DataFrame, judged: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """One row per sample: its outcome, and how many of its steps are right, wrong and unknown.

    Columns ``problem_id, sample_id, finish_reason, completion_tokens, answer, value, right_steps, wrong_steps,
    unknown_steps``, sorted by problem_id.
    """
    steps = judged.group_by("sample_id").agg(
        (pl.col("label") == True).sum().alias("right_steps"),  # noqa: E712 - an expression, not a truth test
        (pl.col("label") == False).sum().alias("wrong_steps"),  # noqa: E712
        pl.col("label").is_null().sum().alias("unknown_steps"),
    )
    return (
        samples.select("problem_id", "sample_id", "sample_index", "finish_reason", "completion_tokens")
        .join(outcomes.select("sample_id", "answer", "is_correct"), on="sample_id", how="left", validate="1:1")
        .join(steps, on="sample_id", how="left", validate="1:1")
        .with_columns(pl.col("right_steps", "wrong_steps", "unknown_steps").fill_null(0).cast(pl.Int64))
        .sort("problem_id", "sample_index")
        .drop("sample_index")
    )


def greedy_counts(solutions: pl.DataFrame) -> dict[str, Counts]:
    """What is counted of one greedy solution per problem (rows of `per_sample`).

    ``pass_at_1``: right answers among problems; a verdict "cannot tell" is not right. The others as in
    `solution_counts`.
    """
    return {"pass_at_1": count(solutions, RIGHT, _ONE)} | solution_counts(solutions)


def solution_counts(solutions: pl.DataFrame) -> dict[str, Counts]:
    """What is counted of solutions whose steps were judged, whatever their number per problem (rows of `per_sample`).

    - ``stepwise_error``: right answers that have a wrong step, among right answers with at least one judged step.
    - ``wrong_all_steps_right``: wrong answers whose steps are all right, among wrong ones with a judged step.
    - ``unknown_steps``: steps without a label among steps; ``unknown_outcome``: verdicts "cannot tell" among solutions.
    - ``no_answer``, ``length_cut``: solutions without an answer, and cut by the token limit, among solutions.
    - ``tokens_per_solution``: completion tokens by solutions whose tokens were recorded.

    A solution of which no step is judged says nothing about steps, hence it is in neither of the two step ratios.
    """
    judged = (pl.col("right_steps") + pl.col("wrong_steps")) > 0
    wrong_step = pl.col("wrong_steps") > 0
    all_right = (pl.col("wrong_steps") == 0) & (pl.col("unknown_steps") == 0)
    steps = pl.col("right_steps") + pl.col("wrong_steps") + pl.col("unknown_steps")
    return {
        "stepwise_error": count(solutions, RIGHT & judged & wrong_step, RIGHT & judged),
        "wrong_all_steps_right": count(solutions, _WRONG & judged & all_right, _WRONG & judged),
        "unknown_steps": count(solutions, pl.col("unknown_steps"), steps),
        "unknown_outcome": count(solutions, pl.col("is_correct").is_null(), _ONE),
        **shape_counts(solutions),
    }


def shape_counts(solutions: pl.DataFrame) -> dict[str, Counts]:
    """The last three of `solution_counts`, which need no judge: ``no_answer, length_cut, tokens_per_solution``."""
    tokens = pl.col("completion_tokens")
    return {
        "no_answer": count(solutions, pl.col("answer").is_null(), _ONE),
        "length_cut": count(solutions, pl.col("finish_reason") == "length", _ONE),
        "tokens_per_solution": count(solutions, tokens.fill_null(0), tokens.is_not_null()),
    }


def flagged_counts(solutions: pl.DataFrame) -> Counts:
    """Right answers in which the judge calls some step wrong, among all right answers that have a step.

    Unlike ``stepwise_error``, a solution that the judge says nothing about counts as one in which it finds nothing
    wrong: a judge's error rates are counted like that.
    """
    has_steps = (pl.col("right_steps") + pl.col("wrong_steps") + pl.col("unknown_steps")) > 0
    return count(solutions, RIGHT & (pl.col("wrong_steps") > 0), RIGHT & has_steps)
