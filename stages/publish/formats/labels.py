"""Everything that is known of every sample, kept or not: the tables of a round joined, with their ids."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from stages.publish.formats.base import Format
from stages.publish.rounds import Round
from stages.records import JUDGED, OUTCOME, PROBLEM, SAMPLE, STEP, Column, Table, read_shard

_KEYS = ("sample_id", "problem_id")

_OUTCOME_NAMES = {"answer": "final_answer", "value": "outcome", "reason": "outcome_reason"}
_PROBLEM_NAMES = {"answer": "gold_answer"}

_OF_STEP = tuple(
    column
    for table in (STEP, JUDGED)
    for column in table.columns
    if column.name not in (*_KEYS, "first_error") and not (table is JUDGED and column.name == "step")
)
_FIRST_ERROR = next(column for column in JUDGED.columns if column.name == "first_error")


def _renamed(table: Table, names: dict[str, str], without: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(names.get(column.name, column.name), column.dtype, column.meaning, column.nullable)
        for column in table.columns
        if column.name not in without
    )


def _columns(_: bool) -> tuple[Column, ...]:
    parts = "; ".join(f"{column.name}: {column.meaning}" for column in _OF_STEP)
    return (
        Column("round", pl.String, "the round"),
        *_renamed(SAMPLE, {}, ()),
        *_renamed(PROBLEM, _PROBLEM_NAMES, ("problem_id",)),
        Column(
            "steps",
            pl.List(pl.Struct({column.name: column.dtype for column in _OF_STEP})),
            f"the steps in order. {parts}",
        ),
        _FIRST_ERROR,
        *_renamed(OUTCOME, _OUTCOME_NAMES, _KEYS),
        Column(
            "row", pl.Int64, "0-based row of `kto` and `step_kto`, null where the sample was not kept", nullable=True
        ),
    )


def _parts(of: Round) -> Iterator[pl.DataFrame]:
    """A frame per shard of the tables, so that no more than a shard is held at once."""
    kept = of.rows.select("sample_id", "row")
    for shard in of.shards:
        problems = read_shard(of.root / "data" / "problems", PROBLEM, shard).rename(_PROBLEM_NAMES)
        samples = read_shard(of.table("samples"), SAMPLE, shard)
        outcomes = read_shard(of.table("outcomes"), OUTCOME, shard).rename(_OUTCOME_NAMES).drop("problem_id")
        steps = read_shard(of.table("steps"), STEP, shard).drop("problem_id")
        judged = read_shard(of.table("judged"), JUDGED, shard).drop("problem_id")
        by_sample = (
            steps.join(judged, on=["sample_id", "step"], how="inner")
            .sort("sample_id", "step")
            .group_by("sample_id", maintain_order=True)
            .agg(
                pl.struct(column.name for column in _OF_STEP).alias("steps"), first_error=pl.col("first_error").first()
            )
        )
        together = (
            samples.join(problems, on="problem_id").join(by_sample, on="sample_id").join(outcomes, on="sample_id")
        )
        if together.height != samples.height:
            raise ValueError(
                f"{of.table('samples')}, shard {shard}: {samples.height - together.height} samples have no problem, no "
                "steps, no labels or no verdict"
            )
        yield (
            together.join(kept, on="sample_id", how="left")
            .with_columns(round=pl.lit(of.name))
            .sort("problem_id", "index", "sample_id")
        )


LABELS = Format(
    "labels",
    "everything: every sample of the round, kept for training or not, with what made it and how each label came about",
    _columns,
    _parts,
)
