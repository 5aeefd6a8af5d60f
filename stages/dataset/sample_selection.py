"""Selection of samples: a bounded number of correct and incorrect ones per problem, chosen by hash."""

import polars as pl

from stages.common.params.dataset import DatasetParams
from stages.common.tables import DropLog, seed_from


def select_samples(samples: pl.DataFrame, params: DatasetParams, seed: int, drops: DropLog) -> pl.DataFrame:
    """Keep rows of `samples` (sample_id, problem_id, completion, label: the outcome or null) by the rules in `params`.

    The paper (data selection) keeps at most two correct and two incorrect samples per problem; how it picks among more
    is not known, here those with the smallest hash of seed and sample id are kept. Returns the rows with a column
    `rank`, the 0-based position of the sample among its problem's samples of the same label. Every dropped row is
    counted in `drops`.
    """
    kept = _drop(samples, pl.col("label").is_not_null(), "outcome unknown", drops)
    kept = _drop(kept, pl.col("completion").str.strip_chars() != "", "empty completion", drops)
    kept = kept.with_columns(
        pl.Series("draw", [seed_from("select", seed, sample) for sample in kept["sample_id"]], dtype=pl.Int64)
    ).sort("problem_id", "draw", "sample_id")
    if params.deduplicate:
        kept = _drop(
            kept,
            pl.struct("problem_id", "completion").is_first_distinct(),
            "same completion for the same problem",
            drops,
        )
    correct = pl.col("label").sum().over("problem_id")
    incorrect = (~pl.col("label")).sum().over("problem_id")
    if params.require_both:
        kept = _drop(kept, (correct > 0) & (incorrect > 0), "problem lacks a correct or an incorrect sample", drops)
    kept = kept.with_columns(rank=pl.int_range(pl.len()).over("problem_id", "label"))
    limit = pl.when("label").then(_limit_or_all(params.max_correct)).otherwise(_limit_or_all(params.max_incorrect))
    kept = _drop(kept, pl.col("rank") < limit, "more than the limit per problem", drops)
    if params.balance:
        fewer = pl.min_horizontal(correct, incorrect)
        kept = _drop(kept, pl.col("rank") < fewer, "balance of correct and incorrect", drops)
    return kept.drop("draw")


def _limit_or_all(limit: int | None) -> pl.Expr:
    return pl.lit(2**31 if limit is None else limit)


def _drop(frame: pl.DataFrame, keep: pl.Expr, reason: str, drops: DropLog) -> pl.DataFrame:
    marked = frame.with_columns(_keep=keep)
    for row in marked.filter(~pl.col("_keep")).select("sample_id", "completion").iter_rows():
        drops.drop(reason, row[0], row[1])
    return marked.filter(pl.col("_keep")).drop("_keep")
