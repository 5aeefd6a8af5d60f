"""What a format is, and what several formats share: chat messages, the columns of ids, steps with their text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from stages.common.tables import Column
from tools.publish.rounds import MESSAGES, Round

ROWS = 65_536
"""Rows taken at once, give or take a problem's: what a format holds in memory does not grow with the round."""


@dataclass(frozen=True)
class Format:
    """A format: what it is for, its columns for plain text and for chats, and its rows, one frame per file."""

    name: str
    purpose: str
    columns: Callable[[bool], tuple[Column, ...]]
    parts: Callable[[Round], Iterator[pl.DataFrame]]


def problem_column() -> Column:
    return Column("problem_id", pl.String, "the problem: hash of its normalised text and gold answer")


def sample_column(name: str = "sample_id", what: str = "the sample") -> Column:
    return Column(name, pl.String, f"{what}: hash of problem, policy, settings, index and text")


def prompt_column(chat: bool) -> Column:
    return Column("prompt", MESSAGES if chat else pl.String, "what the policy was given")


def said_column(name: str, chat: bool, meaning: str) -> Column:
    """A column of what the policy says: text, or one message of the assistant."""
    return Column(name, MESSAGES if chat else pl.String, meaning)


def said(text: pl.Expr, chat: bool) -> pl.Expr:
    """`text` as the policy says it: itself, or one message of the assistant."""
    return pl.concat_list(pl.struct(role=pl.lit("assistant"), content=text)) if chat else text


def by_problem(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """`rows` in the order of their problems, about `ROWS` at once, the rows of one problem never apart."""
    rows = rows.sort("problem_id", "sample_id")
    ends = rows.select(end=pl.int_range(pl.len()) + 1, last=pl.col("problem_id").shift(-1) != pl.col("problem_id"))
    possible = ends.filter(pl.col("last").fill_null(value=True))["end"].to_list()
    start = 0
    for end in possible:
        if end - start >= ROWS or end == rows.height:
            yield rows[start:end]
            start = end


def steps_of(rows: pl.DataFrame) -> pl.DataFrame:
    """A row per step of `rows`, in order, with all other columns repeated.

    Adds step (0-based), start and end (code points of the completion), step_label, and text, the step itself: the
    texts of a sample joined are its completion.
    """
    steps = rows.with_columns(
        pl.col("steps").list.eval(
            pl.struct(
                start=pl.element().struct.field("start"),
                end=pl.element().struct.field("end"),
                step_label=pl.element().struct.field("label"),
            )
        ),
        step=pl.int_ranges(pl.col("steps").list.len(), dtype=pl.Int32),
    )
    return (
        steps.explode("steps", "step")
        .unnest("steps")
        .with_columns(text=pl.col("completion").str.slice(pl.col("start"), pl.col("end") - pl.col("start")))
    )
