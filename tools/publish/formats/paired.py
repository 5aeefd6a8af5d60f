"""Preference pairs: whole solutions by their outcome, and single steps after the same right beginning."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.formats.base import (
    Format,
    by_problem,
    problem_column,
    prompt_column,
    said,
    said_column,
    sample_column,
    steps_of,
)
from tools.publish.rounds import Round

_IDS = (
    problem_column(),
    sample_column("chosen_sample_id", "the chosen sample"),
    sample_column("rejected_sample_id", "the rejected sample"),
)


def _pair_columns(chat: bool) -> tuple[Column, ...]:
    return (
        *_IDS,
        prompt_column(chat),
        said_column("chosen", chat, "a solution whose final answer is right"),
        said_column("rejected", chat, "a solution of the same problem whose final answer is wrong"),
    )


def _pairs(of: Round) -> Iterator[pl.DataFrame]:
    """The n-th right with the n-th wrong solution of each problem, by sample id; what is left over has no partner."""
    for rows in by_problem(of.rows):
        ranked = rows.with_columns(rank=pl.int_range(pl.len()).over("problem_id", "label"))
        right = ranked.filter("label").select(
            "problem_id", "rank", "prompt", chosen_sample_id="sample_id", chosen="completion"
        )
        wrong = ranked.filter(~pl.col("label")).select(
            "problem_id", "rank", rejected_sample_id="sample_id", rejected="completion"
        )
        yield (
            right.join(wrong, on=["problem_id", "rank"])
            .sort("problem_id", "rank")
            .with_columns(said(pl.col(name), of.chat).alias(name) for name in ("chosen", "rejected"))
        )


def _step_columns(chat: bool) -> tuple[Column, ...]:
    step = "the beginning and a {} next step" if chat else "a {} next step"
    prompt = "what the policy was given" if chat else "what the policy was given, and the beginning"
    return (
        *_IDS,
        Column("step", pl.Int32, "0-based position of the step in the rejected sample"),
        Column("beginning", pl.String, "the right steps that both samples begin with"),
        Column("prompt", prompt_column(chat).dtype, prompt),
        said_column("chosen", chat, step.format("right")),
        said_column("rejected", chat, step.format("wrong")),
    )


def _steps(of: Round) -> Iterator[pl.DataFrame]:
    """A pair for every distinct first wrong step that another sample has a right step for, after the same beginning."""
    for rows in by_problem(of.rows):
        pairs = _step_pairs(_reached(rows))
        if of.chat:
            # A chat has no place between two messages for a beginning: it stands in both, and cancels in the
            # difference of the two that DPO looks at.
            yield pairs.with_columns(
                said(pl.col("beginning") + pl.col(name), chat=True).alias(name) for name in ("chosen", "rejected")
            )
        else:
            yield pairs.with_columns(pl.col("prompt") + pl.col("beginning"))


def _reached(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct steps that right steps alone lead to, by problem and beginning; right samples come first."""
    right_before = pl.col("step_label").shift(1).over("sample_id").fill_null(value=False) | (pl.col("step") == 0)
    return (
        steps_of(rows)
        .with_columns(
            beginning=pl.col("completion").str.slice(0, pl.col("start")),
            reached=right_before.cast(pl.UInt8).cum_min().over("sample_id") == 1,
            said=pl.col("text").str.strip_chars(),
        )
        .filter(pl.col("reached") & (pl.col("said") != ""))
        .sort("problem_id", "beginning", pl.col("label").not_(), "sample_id")
        .unique(["problem_id", "beginning", "said", "step_label"], keep="first", maintain_order=True)
    )


def _step_pairs(steps: pl.DataFrame) -> pl.DataFrame:
    """Each wrong step with a right one after the same beginning; right steps are dealt out in turn."""
    place = ["problem_id", "beginning"]
    right = steps.filter(pl.col("step_label")).select(
        *place, "prompt", chosen_sample_id="sample_id", chosen="text", chosen_said="said"
    )
    right = right.with_columns(turn=pl.int_range(pl.len()).over(place), turns=pl.len().over(place))
    wrong = steps.filter(~pl.col("step_label")).select(
        *place, "step", rejected_sample_id="sample_id", rejected="text", rejected_said="said"
    )
    wrong = wrong.join(right.select(*place, "turns").unique(maintain_order=True), on=place)
    wrong = wrong.with_columns(turn=pl.int_range(pl.len()).over(place) % pl.col("turns")).drop("turns")
    pairs = wrong.join(right, on=[*place, "turn"]).filter(pl.col("chosen_said") != pl.col("rejected_said"))
    return pairs.sort("problem_id", "step", "beginning", "rejected_sample_id")


PAIRS = Format(
    "pairs",
    "DPO and iterative RPO: right and wrong solutions of one problem (TRL's preference format)",
    _pair_columns,
    _pairs,
)

STEP_DPO = Format(
    "step_dpo",
    "Step-DPO (arXiv 2406.18629): two next steps, a right and a wrong one, after the same right beginning",
    _step_columns,
    _steps,
)
