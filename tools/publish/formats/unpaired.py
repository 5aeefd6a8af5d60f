"""Formats of one completion per row, in training order: KTO, Step-KTO, and correct completions alone."""

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.exported_round import ExportedRound
from tools.publish.formats.export_format import (
    FunctionFormat,
    completion_column,
    format_completion,
    problem_column,
    prompt_column,
    sample_column,
)

STEPS = pl.List(pl.Struct({"start": pl.Int32, "end": pl.Int32, "label": pl.Boolean}))


def _list_rft_columns(is_chat: bool) -> tuple[Column, ...]:
    return (
        sample_column(),
        problem_column(),
        prompt_column(is_chat),
        completion_column("completion", is_chat, "the sampled completion"),
    )


def _list_kto_columns(is_chat: bool) -> tuple[Column, ...]:
    meaning = "True where the final answer equals the gold answer"
    return (*_list_rft_columns(is_chat), Column("label", pl.Boolean, meaning))


def _list_step_kto_columns(is_chat: bool) -> tuple[Column, ...]:
    meaning = (
        "steps in order: start and end in code points of the completion (end is one past the last), label True "
        "correct, False incorrect, null unknown"
    )
    label = Column("label", pl.Boolean, "as in `kto`, null where the token limit cut the completion", nullable=True)
    return (*_list_rft_columns(is_chat), label, Column("steps", STEPS, meaning))


def _read_all(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    completion = format_completion(pl.col("completion"), exported.is_chat)
    yield exported.rows.with_columns(completion.alias("completion"))


def _read_known(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    for rows in _read_all(exported):
        yield rows.drop_nulls("label")


def _read_correct(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    for rows in _read_all(exported):
        yield rows.filter("label")


KTO = FunctionFormat(
    "kto",
    "KTO on outcomes: TRL's unpaired preference format. Rows are in training order: do not shuffle",
    _list_kto_columns,
    _read_known,
)

STEP_KTO = FunctionFormat(
    "step_kto",
    "Step-KTO: the rows of `kto` with a label for every step, in the same order; token ids are in `labels`",
    _list_step_kto_columns,
    _read_all,
)

RFT = FunctionFormat(
    "rft",
    "supervised fine-tuning on the completions whose final answer is correct (TRL's prompt-completion format); their "
    "steps may be incorrect: see `step_kto`",
    _list_rft_columns,
    _read_correct,
)
