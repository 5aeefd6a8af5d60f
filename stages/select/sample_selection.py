"""Selection of samples: a bounded number of correct and incorrect ones per problem, chosen by hash."""

from typing import Literal

import polars as pl

from stages.common.params.select import SelectParams
from stages.common.tables import SELECTION, seed_from


def select_samples(samples: pl.DataFrame, params: SelectParams, seed: int) -> pl.DataFrame:
    """SELECTION rows of `samples` (sample_id, problem_id, completion, is_correct: the outcome or null).

    The paper (data selection) keeps at most two correct and two incorrect samples per problem; how it picks among more
    is not known, here those with the smallest hash of seed and sample id are kept. A sample that several rules would
    drop has the reason of the first.
    """
    frame = samples.with_columns(
        pl.Series("draw", [seed_from("select", seed, sample) for sample in samples["sample_id"]], dtype=pl.Int64),
        drop_reason=pl.lit(None, pl.String),
    ).sort("problem_id", "draw", "sample_id")
    frame = _drop(frame, pl.col("is_correct").is_null(), "outcome unknown")
    frame = _drop(frame, pl.col("completion").str.strip_chars() == "", "empty completion")
    if params.deduplicate:
        is_first = pl.int_range(pl.len()).over("problem_id", "completion", "drop_reason") == 0
        frame = _drop(frame, ~is_first, "same completion for the same problem")
    is_kept = pl.col("drop_reason").is_null()
    num_correct = (is_kept & pl.col("is_correct")).sum().over("problem_id")
    num_incorrect = (is_kept & ~pl.col("is_correct")).sum().over("problem_id")
    if params.require_both:
        frame = _drop(
            frame, (num_correct == 0) | (num_incorrect == 0), "problem lacks a correct or an incorrect sample"
        )
    frame = frame.with_columns(rank=pl.int_range(pl.len()).over("problem_id", "is_correct", "drop_reason"))
    limit = pl.when("is_correct").then(_limit_or_all(params.max_correct)).otherwise(_limit_or_all(params.max_incorrect))
    frame = _drop(frame, pl.col("rank") >= limit, "more than the limit per problem")
    if params.balance:
        frame = _drop(
            frame, pl.col("rank") >= pl.min_horizontal(num_correct, num_incorrect), "balance of correct and incorrect"
        )
    frame = frame.with_columns(rank=pl.when(is_kept).then("rank"))
    return SELECTION.check(frame.select(list(SELECTION.schema))).sort(SELECTION.key)


def keep_selected(samples: pl.DataFrame, selection: pl.DataFrame) -> pl.DataFrame:
    """The rows of `samples` that `selection` (SELECTION rows) keeps, in their order."""
    kept = selection.filter(pl.col("drop_reason").is_null())
    return samples.join(kept, on=["problem_id", "sample_id"], how="semi", maintain_order="left")


def keep_in_scope(samples: pl.DataFrame, selection: pl.DataFrame, scope: Literal["selected", "all"]) -> pl.DataFrame:
    """The rows of `samples` whose steps are split and judged; `scope` is `judge.scope`."""
    return samples if scope == "all" else keep_selected(samples, selection)


def _limit_or_all(limit: int | None) -> pl.Expr:
    return pl.lit(2**31 if limit is None else limit)


def _drop(frame: pl.DataFrame, is_dropped: pl.Expr, reason: str) -> pl.DataFrame:
    """Give `reason` to the rows that are dropped here and by no earlier rule."""
    is_new = pl.col("drop_reason").is_null() & is_dropped
    return frame.with_columns(drop_reason=pl.when(is_new).then(pl.lit(reason)).otherwise("drop_reason"))
