"""Step by step, for process reward models: TRL's stepwise-supervision columns."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.formats.base import Format, by_problem, problem_column, sample_column, steps_of
from tools.publish.rounds import Round


def _columns(_: bool) -> tuple[Column, ...]:
    return (
        sample_column(),
        problem_column(),
        Column("prompt", pl.String, "what the policy was given; of a chat, its last message"),
        Column("completions", pl.List(pl.String), "the steps as written: joined, they are how the sample begins"),
        Column("labels", pl.List(pl.Boolean), "one per step: True right, False wrong"),
    )


def _parts(of: Round) -> Iterator[pl.DataFrame]:
    """Each sample up to its first unknown step, since labels cannot be null; a sample that begins with one is left out.

    What follows a step says nothing about it, so a beginning is a whole example.
    """
    for rows in by_problem(of.rows):
        if of.chat:
            rows = rows.with_columns(prompt=pl.col("prompt").list.last().struct.field("content"))
        known = pl.col("step_label").is_not_null().cast(pl.UInt8).cum_min().over("sample_id") == 1
        yield (
            steps_of(rows)
            .filter(known)
            .group_by("problem_id", "sample_id", "prompt", maintain_order=True)
            .agg(completions="text", labels="step_label")
        )


STEPWISE = Format(
    "stepwise",
    "process reward models: TRL's stepwise-supervision format. Samples end before their first unknown step",
    _columns,
    _parts,
)
