"""Which samples are kept: at most so many right and wrong ones per problem, chosen by hash."""

from __future__ import annotations

import polars as pl

from stages.common.params.dataset import DatasetParams
from stages.common.tables import DropLog, seed_from


def select_samples(samples: pl.DataFrame, params: DatasetParams, seed: int, drops: DropLog) -> pl.DataFrame:
    """Keep rows of `samples` (sample_id, problem_id, text, label: Boolean outcome or null) by the rules in `params`.

    The paper (data selection) keeps at most two right and two wrong samples per problem; how it picks among more is
    not known, here the samples with the smallest hash of seed and sample id are kept. Returns the rows with a column
    `rank`, the 0-based place of the sample among its problem's samples of the same label. Every row left out is
    counted in `drops`.
    """
    kept = _drop(samples, pl.col("label").is_not_null(), "outcome unknown", drops)
    kept = _drop(kept, pl.col("completion").str.strip_chars() != "", "empty solution", drops)
    kept = kept.with_columns(
        pl.Series("draw", [seed_from("select", seed, sample) for sample in kept["sample_id"]], dtype=pl.Int64)
    ).sort("problem_id", "draw", "sample_id")
    if params.deduplicate:
        kept = _drop(
            kept, pl.struct("problem_id", "completion").is_first_distinct(), "same text for the same problem", drops
        )
    right = pl.col("label").sum().over("problem_id")
    wrong = (~pl.col("label")).sum().over("problem_id")
    if params.require_both:
        kept = _drop(kept, (right > 0) & (wrong > 0), "problem lacks a right or a wrong sample", drops)
    kept = kept.with_columns(rank=pl.int_range(pl.len()).over("problem_id", "label"))
    limit = pl.when("label").then(_or_all(params.max_correct)).otherwise(_or_all(params.max_incorrect))
    kept = _drop(kept, pl.col("rank") < limit, "more than the problem's share", drops)
    if params.balance:
        fewer = pl.min_horizontal(right, wrong)
        kept = _drop(kept, pl.col("rank") < fewer, "balance of right and wrong", drops)
    return kept.drop("draw")


def _or_all(limit: int | None) -> pl.Expr:
    return pl.lit(2**31 if limit is None else limit)


def _drop(frame: pl.DataFrame, keep: pl.Expr, reason: str, drops: DropLog) -> pl.DataFrame:
    marked = frame.with_columns(_keep=keep)
    for row in marked.filter(~pl.col("_keep")).select("sample_id", "completion").iter_rows():
        drops.drop(reason, row[0], row[1])
    return marked.filter(pl.col("_keep")).drop("_keep")
