"""The order of training rows, which TRL's KTO pairs with their neighbors."""

import random

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.tables import seed_from

Integers = npt.NDArray[np.int64]


def order_for_training(rows: pl.DataFrame, block: int, seed: int) -> pl.DataFrame:
    """`rows` (problem_id, label, ...) shuffled so that blocks of `block` consecutive rows hold both labels in the data
    set's proportion, and samples of one problem are far apart.

    Each label's rows are ordered in passes, one sample of every problem per pass; both are then merged at even
    spacing and shuffled inside each block. Deterministic in `rows`' order and `seed`.
    """
    rng = random.Random(seed_from("order", seed))
    by_label = [_interleave_problems(rows, label, rng) for label in (True, False, None)]
    positions = np.concatenate([(np.arange(part.size) + 0.5) / max(part.size, 1) for part in by_label])
    row_numbers = np.concatenate(by_label)
    merged = row_numbers[np.lexsort((row_numbers, positions))]
    for start in range(0, merged.size, block):
        members = merged[start : start + block].tolist()
        rng.shuffle(members)
        merged[start : start + block] = members
    ordered: pl.DataFrame = rows[merged]
    return ordered


def _interleave_problems(rows: pl.DataFrame, label: bool | None, rng: random.Random) -> Integers:
    """Row numbers of `label`: the first sample of every problem in random order, then the second of each, and so on."""
    problems = (
        rows.select("problem_id", "label")
        .with_row_index("row")
        .filter(pl.col("label").eq_missing(label))
        .group_by("problem_id", maintain_order=True)
        .agg("row")
    )
    order = list(range(problems.height))
    rng.shuffle(order)
    position = np.empty(problems.height, dtype=np.int64)
    position[order] = np.arange(problems.height)
    interleaved = (
        problems.select("row", pl.Series("position", position), turn=pl.int_ranges(pl.col("row").list.len()))
        .explode("row", "turn")
        .sort("turn", "position")
    )
    return interleaved["row"].cast(pl.Int64).to_numpy()


def count_same_problem_pairs(rows: pl.DataFrame, block: int) -> int:
    """Number of rows paired with a completion of their own problem; the KL estimate should have none."""
    problems = rows["problem_id"]
    # The trainer pairs each row with the one before it, and the first of a block with the block's last.
    previous = np.arange(rows.height) - 1
    starts = np.arange(0, rows.height, block)
    previous[starts] = np.minimum(starts + block, rows.height) - 1
    return int((problems == problems[previous]).sum())
