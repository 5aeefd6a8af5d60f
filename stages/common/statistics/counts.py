"""What is counted of every problem: the numerators and denominators of one metric, and how a report holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.statistics.estimate import Estimate, Resampling


@dataclass(frozen=True)
class Counts:
    """Numerators and denominators of a metric, one of each per problem, in the order of the problems' ids.

    Numerators are whole numbers, or chances (floats from 0 to 1) where the metric is an expectation.
    """

    problems: tuple[str, ...]
    numerators: npt.NDArray[Any]
    denominators: npt.NDArray[np.int64]

    @property
    def value(self) -> float | None:
        """The ratio of the sums, null where nothing was counted."""
        denominator = self.denominators.sum().item()
        return self.numerators.sum().item() / denominator if denominator else None

    def estimate(self, resampling: Resampling) -> Estimate:
        """The same with its interval and its sums."""
        return resampling.ratio(self.numerators, self.denominators)


def count(frame: pl.DataFrame, top: pl.Expr, bottom: pl.Expr) -> Counts:
    """`top` and `bottom`, truth values or whole numbers, summed over each problem's rows of `frame`."""
    counts = (
        frame.select("problem_id", top.cast(pl.Int64).alias("top"), bottom.cast(pl.Int64).alias("bottom"))
        .group_by("problem_id")
        .agg(pl.col("top", "bottom").sum())
        .sort("problem_id")
    )
    return Counts(tuple(counts["problem_id"]), counts["top"].to_numpy(), counts["bottom"].to_numpy())


def to_report(counts: Counts) -> dict[str, str]:
    """Whole numbers as text, a number per problem: a few bytes each, and one line in a report."""
    return {"numerators": _text(counts.numerators), "denominators": _text(counts.denominators)}


def from_report(value: Any) -> Counts | None:
    """What `to_report` made, without the problems' ids; null for anything else."""
    if not isinstance(value, dict):
        return None
    columns = [value.get("numerators"), value.get("denominators")]
    if not all(isinstance(column, str) for column in columns):
        return None
    try:
        top, bottom = (np.array([int(part) for part in str(column).split()], dtype=np.int64) for column in columns)
    except (ValueError, OverflowError):
        return None
    return Counts((), top, bottom) if top.size and top.size == bottom.size else None


def _text(numbers: npt.NDArray[Any]) -> str:
    return " ".join(str(int(number)) for number in numbers)
