"""Step by step, for process reward models: TRL's stepwise-supervision columns."""

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.exported_round import ExportedRound
from tools.publish.formats.export_format import (
    FunctionFormat,
    explode_steps,
    iterate_by_problem,
    problem_column,
    sample_column,
)


def _list_columns(_: bool) -> tuple[Column, ...]:
    return (
        sample_column(),
        problem_column(),
        Column("prompt", pl.String, "the policy's input; of a chat, its last message"),
        Column("completions", pl.List(pl.String), "the steps as written; joined, they are the beginning of the sample"),
        Column("labels", pl.List(pl.Boolean), "one per step: True correct, False incorrect"),
    )


def _read_frames(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    """Each sample up to its first unknown step, since labels cannot be null; none where the first step is unknown.

    The label of a step does not depend on later steps, so a beginning is a complete example.
    """
    for rows in iterate_by_problem(exported.rows):
        if exported.is_chat:
            rows = rows.with_columns(prompt=pl.col("prompt").list.last().struct.field("content"))
        is_before_unknown = pl.col("step_label").is_not_null().cast(pl.UInt8).cum_min().over("sample_id") == 1
        yield (
            explode_steps(rows)
            .filter(is_before_unknown)
            .group_by("problem_id", "sample_id", "prompt", maintain_order=True)
            .agg(completions="text", labels="step_label")
        )


STEPWISE = FunctionFormat(
    "stepwise",
    "process reward models: TRL's stepwise-supervision format. Samples end before their first unknown step",
    _list_columns,
    _read_frames,
)
