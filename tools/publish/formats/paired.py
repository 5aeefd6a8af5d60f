"""Preference pairs: whole completions by their outcome, and single steps after the same correct beginning."""

from collections.abc import Iterator

import polars as pl

from stages.common.tables import Column
from tools.publish.exported_round import ExportedRound
from tools.publish.formats.export_format import (
    FunctionFormat,
    completion_column,
    explode_steps,
    format_completion,
    iterate_by_problem,
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
    """The n-th correct with the n-th incorrect completion of each problem, by sample id; the rest has no partner."""
    for rows in iterate_by_problem(exported.rows):
        ranked = rows.with_columns(rank=pl.int_range(pl.len()).over("problem_id", "label"))
        correct = ranked.filter("label").select(
            "problem_id", "rank", "prompt", chosen_sample_id="sample_id", chosen="completion"
        )
        incorrect = ranked.filter(~pl.col("label")).select(
            "problem_id", "rank", rejected_sample_id="sample_id", rejected="completion"
        )
        yield (
            correct.join(incorrect, on=["problem_id", "rank"])
            .sort("problem_id", "rank")
            .with_columns(
                format_completion(pl.col(name), exported.is_chat).alias(name) for name in ("chosen", "rejected")
            )
        )


def _list_step_columns(is_chat: bool) -> tuple[Column, ...]:
    step = "the beginning and {} next step" if is_chat else "{} next step"
    prompt = "the policy's input" if is_chat else "the policy's input, and the beginning"
    return (
        *_ID_COLUMNS,
        Column("step", pl.Int32, "0-based position of the step in the rejected sample"),
        Column("beginning", pl.String, "the correct steps with which both samples begin"),
        Column("prompt", prompt_column(is_chat).dtype, prompt),
        completion_column("chosen", is_chat, step.format("a correct")),
        completion_column("rejected", is_chat, step.format("an incorrect")),
    )


def _read_step_pairs(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    """A pair for every distinct first incorrect step with a correct alternative after the same beginning."""
    for rows in iterate_by_problem(exported.rows):
        pairs = _pair_steps(_select_reachable_steps(rows))
        if exported.is_chat:
            # A chat has no place for a beginning between two messages. It is in both completions and cancels in the
            # difference that DPO takes.
            yield pairs.with_columns(
                format_completion(pl.col("beginning") + pl.col(name), is_chat=True).alias(name)
                for name in ("chosen", "rejected")
            )
        else:
            yield pairs.with_columns(pl.col("prompt") + pl.col("beginning"))


def _select_reachable_steps(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct steps after only correct ones, by problem and beginning; those of correct samples come first."""
    follows_correct = pl.col("step_label").shift(1).over("sample_id").fill_null(value=False) | (pl.col("step") == 0)
    return (
        explode_steps(rows)
        .with_columns(
            beginning=pl.col("completion").str.slice(0, pl.col("start")),
            is_reachable=follows_correct.cast(pl.UInt8).cum_min().over("sample_id") == 1,
            stripped=pl.col("text").str.strip_chars(),
        )
        .filter(pl.col("is_reachable") & (pl.col("stripped") != ""))
        .sort("problem_id", "beginning", pl.col("label").not_(), "sample_id")
        .unique(["problem_id", "beginning", "stripped", "step_label"], keep="first", maintain_order=True)
    )


def _pair_steps(steps: pl.DataFrame) -> pl.DataFrame:
    """Each incorrect step with a correct one after the same beginning; correct steps are used in turn."""
    prefix = ["problem_id", "beginning"]
    correct = steps.filter(pl.col("step_label")).select(
        *prefix, "prompt", chosen_sample_id="sample_id", chosen="text", chosen_stripped="stripped"
    )
    correct = correct.with_columns(turn=pl.int_range(pl.len()).over(prefix), num_turns=pl.len().over(prefix))
    incorrect = steps.filter(~pl.col("step_label")).select(
        *prefix, "step", rejected_sample_id="sample_id", rejected="text", rejected_stripped="stripped"
    )
    incorrect = incorrect.join(correct.select(*prefix, "num_turns").unique(maintain_order=True), on=prefix)
    incorrect = incorrect.with_columns(turn=pl.int_range(pl.len()).over(prefix) % pl.col("num_turns"))
    pairs = incorrect.drop("num_turns").join(correct, on=[*prefix, "turn"])
    pairs = pairs.filter(pl.col("chosen_stripped") != pl.col("rejected_stripped"))
    return pairs.sort("problem_id", "step", "beginning", "rejected_sample_id")


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
