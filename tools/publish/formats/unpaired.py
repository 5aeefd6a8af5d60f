"""Formats of one completion per row, in training order: KTO, Step-KTO, and right solutions alone."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.formats.base import Format, problem_column, prompt_column, said, said_column, sample_column
from tools.publish.rounds import Round

STEPS = pl.List(pl.Struct({"start": pl.Int32, "end": pl.Int32, "label": pl.Boolean}))


def _columns(chat: bool) -> tuple[Column, ...]:
    return (
        sample_column(),
        problem_column(),
        prompt_column(chat),
        said_column("completion", chat, "the sampled solution"),
        Column("label", pl.Boolean, "True where the final answer equals the gold answer"),
    )


def _with_steps(chat: bool) -> tuple[Column, ...]:
    meaning = (
        "steps in order: start and end in code points of the completion (end is one past the last), label True right, "
        "False wrong, null unknown"
    )
    return (*_columns(chat), Column("steps", STEPS, meaning))


def _without_label(chat: bool) -> tuple[Column, ...]:
    return tuple(column for column in _columns(chat) if column.name != "label")


def _rows(of: Round) -> Iterator[pl.DataFrame]:
    yield of.rows.with_columns(said(pl.col("completion"), of.chat).alias("completion"))


def _right(of: Round) -> Iterator[pl.DataFrame]:
    for rows in _rows(of):
        yield rows.filter("label")


KTO = Format(
    "kto",
    "KTO on outcomes: TRL's unpaired preference format. Rows are in training order, in which every block of rows holds "
    "both labels and the samples of one problem lie far apart: do not shuffle",
    _columns,
    _rows,
)

STEP_KTO = Format(
    "step_kto", "Step-KTO: the rows of `kto` with a label for every step, in the same order", _with_steps, _rows
)

RFT = Format(
    "rft",
    "supervised fine-tuning on the solutions whose final answer is right (TRL's prompt-completion format); their steps "
    "may be wrong, which `step_kto` tells",
    _without_label,
    _right,
)
