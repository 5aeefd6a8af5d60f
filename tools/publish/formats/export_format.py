"""What an export format is, and what several formats share: id columns, chat messages, steps with their text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from stages.common.tables import Column
from tools.publish.exported_round import MESSAGES, ExportedRound

MAX_ROWS = 65_536
"""Rows held at once, give or take those of one problem: memory does not grow with the round."""


class ExportFormat(Protocol):
    """An export format. Card, Croissant metadata and Parquet files are made from what it says of itself.

    A format from outside is registered by a module that the recipe names under `plugins`:
    ``FORMATS.register("first_step", FirstStep())``.
    """

    @property
    def name(self) -> str:
        """Name of the configuration, after the round's; the kind under which the format is registered."""

    @property
    def purpose(self) -> str:
        """What the format is for, in one phrase of Markdown."""

    def list_columns(self, is_chat: bool) -> tuple[Column, ...]:
        """The columns and their meanings; `is_chat` where prompts are lists of messages."""

    def read_frames(self, exported: ExportedRound) -> Iterator[pl.DataFrame]:
        """The rows, one frame per Parquet file, each with at least the columns of `list_columns`."""


@dataclass(frozen=True)
class FunctionFormat:
    """An export format made of two functions."""

    name: str
    purpose: str
    list_columns: Callable[[bool], tuple[Column, ...]]
    read_frames: Callable[[ExportedRound], Iterator[pl.DataFrame]]


def problem_column() -> Column:
    return Column("problem_id", pl.String, "the problem: hash of its normalised text and gold answer")


def sample_column(name: str = "sample_id", subject: str = "the sample") -> Column:
    return Column(name, pl.String, f"{subject}: hash of problem, policy, sampling params, index and text")


def prompt_column(is_chat: bool) -> Column:
    return Column("prompt", MESSAGES if is_chat else pl.String, "the policy's input")


def completion_column(name: str, is_chat: bool, meaning: str) -> Column:
    """A column of text by the policy: a string, or one message of the assistant."""
    return Column(name, MESSAGES if is_chat else pl.String, meaning)


def format_completion(text: pl.Expr, is_chat: bool) -> pl.Expr:
    """`text` by the policy: itself, or one message of the assistant."""
    return pl.concat_list(pl.struct(role=pl.lit("assistant"), content=text)) if is_chat else text


def iterate_by_problem(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """`rows` sorted by problem, about `MAX_ROWS` at a time, all rows of one problem in one frame."""
    rows = rows.sort("problem_id", "sample_id")
    ends = rows.select(end=pl.int_range(pl.len()) + 1, last=pl.col("problem_id").shift(-1) != pl.col("problem_id"))
    start = 0
    for end in ends.filter(pl.col("last").fill_null(value=True))["end"].to_list():
        if end - start >= MAX_ROWS or end == rows.height:
            yield rows[start:end]
            start = end


def iterate_slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """`frame`, `MAX_ROWS` rows at a time; itself if it is empty."""
    yield from frame.iter_slices(MAX_ROWS) if frame.height else [frame]


def explode_steps(rows: pl.DataFrame) -> pl.DataFrame:
    """A row per step of `rows`, in order, with all other columns repeated.

    Adds step (0-based), start and end (code points of the completion), step_label, and text, the step itself: the
    texts of a sample join to its completion.
    """
    start, end = pl.col("start"), pl.col("end")
    return (
        rows.with_columns(step=pl.int_ranges(pl.col("steps").list.len(), dtype=pl.Int32))
        .rename({"label": "_label"})
        .explode("steps", "step")
        .unnest("steps")
        .rename({"label": "step_label", "_label": "label"})
        .with_columns(text=pl.col("completion").str.slice(start, end - start))
    )
