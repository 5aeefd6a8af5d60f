"""Preference pairs as the dataset stage made them, with their text: completions, and next steps."""

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.exported_round import ExportedRound
from tools.publish.formats.export_format import (
    FunctionFormat,
    completion_column,
    format_completion,
    iterate_slices,
    problem_column,
    prompt_column,
    sample_column,
)

_ID_COLUMNS = (
    problem_column(),
    sample_column("chosen_sample_id", "the chosen sample"),
    sample_column("rejected_sample_id", "the rejected sample"),
)


def _list_pair_columns(is_chat: bool) -> tuple[Column, ...]:
    return (
        *_ID_COLUMNS,
        prompt_column(is_chat),
        completion_column("chosen", is_chat, "a completion whose final answer is correct"),
        completion_column("rejected", is_chat, "a completion of the same problem whose final answer is incorrect"),
    )


def _read_pairs(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    for pairs in _join_completions(exported, "pairs.parquet"):
        yield pairs.with_columns(
            format_completion(pl.col(name), exported.is_chat).alias(name) for name in ("chosen", "rejected")
        )


def _list_step_columns(is_chat: bool) -> tuple[Column, ...]:
    step = "the beginning and {} next step" if is_chat else "{} next step"
    prompt = "the policy's input" if is_chat else "the policy's input, and the beginning"
    return (
        *_ID_COLUMNS,
        Column("chosen_step", pl.Int32, "0-based position of the step in the chosen sample"),
        Column("rejected_step", pl.Int32, "0-based position of the step in the rejected sample"),
        Column("beginning", pl.String, "the correct steps with which both samples begin"),
        Column("prompt", prompt_column(is_chat).dtype, prompt),
        completion_column("chosen", is_chat, step.format("a correct")),
        completion_column("rejected", is_chat, step.format("an incorrect")),
    )


def _read_step_pairs(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    for pairs in _join_completions(exported, "step_pairs.parquet"):
        start = pl.col("chosen_span").struct.field("start")
        # A chat has no place for a beginning between two messages. It is in both completions and cancels in the
        # difference that DPO takes.
        first = pl.lit(0) if exported.is_chat else start
        steps = pairs.with_columns(
            pl.col("chosen").str.slice(0, start).alias("beginning"),
            *(
                format_completion(
                    pl.col(name).str.slice(first, pl.col(f"{name}_span").struct.field("end") - first), exported.is_chat
                ).alias(name)
                for name in ("chosen", "rejected")
            ),
        )
        yield steps if exported.is_chat else steps.with_columns(pl.col("prompt") + pl.col("beginning"))


def _join_completions(exported: ExportedRound, file: str) -> Iterator[pl.DataFrame]:
    """The pairs of `file` in training order with prompt and both completions; of steps with their spans too."""
    pairs = pl.read_parquet(exported.dataset.folder / file)
    rows = exported.rows.select("sample_id", "prompt", "completion", "steps")
    for part in iterate_slices(pairs):
        frame = part
        for name in ("chosen", "rejected"):
            joined = frame.join(rows, left_on=f"{name}_sample_id", right_on="sample_id", maintain_order="left")
            if f"{name}_step" in pairs.columns:
                joined = joined.with_columns(pl.col("steps").list.get(pl.col(f"{name}_step")).alias(f"{name}_span"))
            frame = joined.rename({"completion": name}).drop("steps", *(["prompt"] if name == "chosen" else []))
        yield frame


PAIRS = FunctionFormat(
    "pairs",
    "DPO and iterative RPO: correct and incorrect completions of one problem (TRL's preference format)",
    _list_pair_columns,
    _read_pairs,
)

STEP_DPO = FunctionFormat(
    "step_dpo",
    "Step-DPO (arXiv 2406.18629): two next steps, a correct and an incorrect one, after the same correct beginning",
    _list_step_columns,
    _read_step_pairs,
)
