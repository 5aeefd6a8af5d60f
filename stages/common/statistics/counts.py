"""Numerators and denominators of one metric by problem, and how a report stores them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.statistics.bootstrap import Bootstrap, Estimate


@dataclass(frozen=True)
class Counts:
    """Numerators and denominators of a metric, shape (problems,), in the order of the problems' ids.

    Numerators are integers, or probabilities (floats from 0 to 1) if the metric is an expectation.
    """

    problems: tuple[str, ...]
    numerators: npt.NDArray[Any]
    denominators: npt.NDArray[np.int64]

    @property
    def value(self) -> float | None:
        """The ratio of the sums, None if nothing was counted."""
        denominator = self.denominators.sum().item()
        return self.numerators.sum().item() / denominator if denominator else None

    def estimate(self, bootstrap: Bootstrap) -> Estimate:
        """The same with its interval and its sums."""
        return bootstrap.estimate_ratio(self.numerators, self.denominators)


def count_by_problem(frame: pl.DataFrame, numerator: pl.Expr, denominator: pl.Expr) -> Counts:
    """`numerator` and `denominator`, Booleans or integers, summed over each problem's rows of `frame`."""
    sums = (
        frame.select("problem_id", top=numerator.cast(pl.Int64), bottom=denominator.cast(pl.Int64))
        .group_by("problem_id")
        .agg(pl.col("top", "bottom").sum())
        .sort("problem_id")
    )
    return Counts(tuple(sums["problem_id"]), sums["top"].to_numpy(), sums["bottom"].to_numpy())


def format_counts(counts: Counts) -> dict[str, str]:
    """Integers as text, one per problem: a few bytes each, and one line in a report."""
    columns = {"numerators": counts.numerators, "denominators": counts.denominators}
    return {name: " ".join(str(int(number)) for number in numbers) for name, numbers in columns.items()}


def parse_counts(value: Any) -> Counts | None:
    """What `format_counts` returned, without the problems' ids; None for anything else."""
    columns = [value.get(name) for name in ("numerators", "denominators")] if isinstance(value, dict) else []
    texts = [column.split() for column in columns if isinstance(column, str)]
    if len(texts) != 2:
        return None
    try:
        top, bottom = (np.array(list(map(int, text)), dtype=np.int64) for text in texts)
    except (ValueError, OverflowError):
        return None
    return Counts((), top, bottom) if top.size and top.size == bottom.size else None
