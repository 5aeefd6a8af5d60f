"""The order of training rows: TRL's KTO pairs each prompt with its neighbour's completion, so the order decides."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.tables import seed_from

Integers = npt.NDArray[np.int64]


def order_for_training(rows: pl.DataFrame, block: int, seed: int) -> pl.DataFrame:
    """`rows` (problem_id, label, ...) shuffled so that blocks of `block` consecutive rows hold both labels in the data
    set's own proportion, and samples of one problem lie far apart.

    Each label's rows are dealt in rounds, one sample of every problem per round, then both are merged at even spacing
    and shuffled inside each block. Deterministic in `rows`' order and `seed`.
    """
    rng = random.Random(seed_from("order", seed))
    dealt = [_deal(rows, label, rng) for label in (True, False)]
    places = np.concatenate([(np.arange(part.size) + 0.5) / max(part.size, 1) for part in dealt])
    rows_dealt = np.concatenate(dealt)
    merged = rows_dealt[np.lexsort((rows_dealt, places))]
    for start in range(0, merged.size, block):
        members = merged[start : start + block].tolist()
        rng.shuffle(members)
        merged[start : start + block] = members
    ordered: pl.DataFrame = rows[merged]
    return ordered


def _deal(rows: pl.DataFrame, label: bool, rng: random.Random) -> Integers:
    """Row numbers of `label`: the first sample of every problem in random order, then the second of each, and so on."""
    problems = (
        rows.select("problem_id", "label")
        .with_row_index("row")
        .filter(pl.col("label") == label)
        .group_by("problem_id", maintain_order=True)
        .agg("row")
    )
    order = list(range(problems.height))
    rng.shuffle(order)
    place = np.empty(problems.height, dtype=np.int64)
    place[order] = np.arange(problems.height)
    dealt = (
        problems.select("row", pl.Series("place", place), turn=pl.int_ranges(pl.col("row").list.len()))
        .explode("row", "turn")
        .sort("turn", "place")
    )
    return dealt["row"].cast(pl.Int64).to_numpy()


def count_same_problem_pairs(rows: pl.DataFrame, block: int) -> int:
    """How many rows would be paired with a completion of their own problem: the mismatched pass wants none."""
    problems = rows["problem_id"]
    # The trainer pairs each row with the one before it, and the first of a block with the block's last.
    before = np.arange(rows.height) - 1
    starts = np.arange(0, rows.height, block)
    before[starts] = np.minimum(starts + block, rows.height) - 1
    return int((problems == problems[before]).sum())
