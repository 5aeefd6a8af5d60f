"""Ratios over problems with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
"""Coverage aimed at by an interval."""

_CELLS = 2**22
"""Most draws held at once."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A ratio ``numerator / denominator`` with its interval; all three figures are null when nothing was counted.

    A numerator that is no whole number is a sum of chances: of Pass@k, the problems that k samples are expected to
    solve.
    """

    value: float | None
    low: float | None
    high: float | None
    numerator: float
    denominator: int

    def report(self) -> dict[str, float | int | None]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "numerator": self.numerator,
            "denominator": self.denominator,
        }


@dataclass(frozen=True)
class Resampling:
    """The percentile bootstrap over problems: `resamples` draws with replacement, determined by `seed`.

    Two ratios over the same number of problems see the same draws, so that they can be compared as a pair. A ratio
    that is 0 or 1 in every problem has an interval without width: the percentile bootstrap knows nothing of what
    it never saw, and the counts beside the interval say how little that is.
    """

    resamples: int
    seed: int

    def ratio(self, numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Estimate:
        """``sum(numerators) / sum(denominators)``, each an array with one entry per problem; denominators are counts.

        Resamples whose denominator is 0 say nothing and are left out. Raises `ValueError` for arrays that do not pair.
        """
        top, bottom = _pair(numerators, denominators)
        numerator, denominator = top.sum().item(), bottom.sum().item()
        if denominator == 0:
            return Estimate(None, None, None, numerator, 0)
        low, high = interval(self.resampled(top, bottom))
        return Estimate(numerator / denominator, low, high, numerator, denominator)

    def resampled(self, numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Floats:
        """The ratio in each resample, (resamples,); NaN where its denominator is 0."""
        top, bottom = _pair(numerators, denominators)
        drawn = self.sums([top, bottom])
        ratios = np.full(drawn.shape[1], np.nan)
        np.divide(drawn[0], drawn[1], out=ratios, where=drawn[1] > 0)
        return ratios

    def sums(self, columns: Sequence[Integers | Floats]) -> npt.NDArray[Any]:
        """Sums over the problems drawn, (columns, resamples); each of `columns` has one entry per problem."""
        blocks = [np.stack([column[draw].sum(axis=1) for column in columns]) for draw in self._draws(columns[0].size)]
        return np.concatenate(blocks, axis=1)

    def _draws(self, problems: int) -> Iterator[Integers]:
        """Positions of the problems drawn, (resamples, problems) in blocks of rows."""
        generator = np.random.default_rng(self.seed)
        rows = max(1, _CELLS // problems)
        for at in range(0, self.resamples, rows):
            yield generator.integers(0, problems, size=(min(rows, self.resamples - at), problems))


def interval(resampled: Floats) -> tuple[float | None, float | None]:
    """The middle `LEVEL` of the figures that are not NaN; nulls where there is none."""
    told = resampled[~np.isnan(resampled)]
    if told.size == 0:
        return None, None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(told, [tail, 1 - tail])
    return float(low), float(high)


def _pair(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> tuple[Integers | Floats, Integers]:
    """Both as arrays of one entry per problem; only chances stay floats."""
    top, bottom = np.asarray(numerators), np.asarray(denominators, dtype=np.int64)
    if top.ndim != 1 or top.shape != bottom.shape:
        raise ValueError(f"a ratio needs one numerator and denominator per problem: {top.shape}, {bottom.shape}")
    if top.dtype.kind == "f":
        return top.astype(np.float64), bottom
    return top.astype(np.int64), bottom
