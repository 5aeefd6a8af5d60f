"""Ratios over problems with bootstrap intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIDENCE_LEVEL = 0.95
"""Coverage that an interval aims at."""

MAX_BLOCK_SIZE = 2**22
"""Largest number of draws held in memory at once."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A ratio ``numerator / denominator`` with its interval; value, low and high are None when nothing was counted.

    A fractional numerator is a sum of probabilities: for Pass@k, the expected number of problems that k samples solve.
    """

    value: float | None
    low: float | None
    high: float | None
    numerator: float
    denominator: int

    def to_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


@dataclass(frozen=True)
class Bootstrap:
    """The percentile bootstrap over problems (Efron 1979): `num_samples` draws with replacement, fixed by `seed`.

    Two ratios over the same number of problems see the same draws, so they can be compared as a pair. A ratio that is
    0 or 1 in every problem gets an interval of zero width, since the percentile bootstrap only knows observed values;
    the counts beside the interval show how little that says.
    """

    num_samples: int
    seed: int

    def estimate_ratio(self, numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Estimate:
        """``sum(numerators) / sum(denominators)``, each of shape (problems,); denominators are counts.

        Draws whose denominator is 0 are left out. Raises `ValueError` if the shapes differ.
        """
        top, bottom = _check_pair(numerators, denominators)
        numerator, denominator = top.sum().item(), bottom.sum().item()
        if denominator == 0:
            return Estimate(None, None, None, numerator, 0)
        low, high = compute_interval(self.resample_ratio(top, bottom))
        return Estimate(numerator / denominator, low, high, numerator, denominator)

    def resample_ratio(self, numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Floats:
        """The ratio in each draw, shape (num_samples,); NaN where its denominator is 0."""
        top, bottom = self.resample_sums(_check_pair(numerators, denominators))
        ratios = np.full(top.shape, np.nan)
        np.divide(top, bottom, out=ratios, where=bottom > 0)
        return ratios

    def resample_sums(self, columns: Sequence[Integers | Floats]) -> npt.NDArray[Any]:
        """Sums over the problems drawn, shape (columns, num_samples); each of `columns` has shape (problems,)."""
        blocks = [np.stack([column[draw].sum(axis=1) for column in columns]) for draw in self._draw(columns[0].size)]
        return np.concatenate(blocks, axis=1)

    def _draw(self, num_problems: int) -> Iterator[Integers]:
        """Positions of the problems drawn, shape (num_samples, problems), in blocks of rows."""
        generator = np.random.default_rng(self.seed)
        num_rows = max(1, MAX_BLOCK_SIZE // num_problems)
        for start in range(0, self.num_samples, num_rows):
            yield generator.integers(0, num_problems, size=(min(num_rows, self.num_samples - start), num_problems))


def compute_interval(resampled: Floats) -> tuple[float | None, float | None]:
    """The central `CONFIDENCE_LEVEL` of the values that are not NaN; (None, None) if there are none."""
    values = resampled[~np.isnan(resampled)]
    if values.size == 0:
        return None, None
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _check_pair(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> tuple[Integers | Floats, Integers]:
    """Both as arrays of shape (problems,); only probabilities stay floats."""
    top, bottom = np.asarray(numerators), np.asarray(denominators, dtype=np.int64)
    if top.ndim != 1 or top.shape != bottom.shape:
        raise ValueError(f"a ratio needs one numerator and one denominator per problem: {top.shape}, {bottom.shape}")
    if top.dtype.kind == "f":
        return top.astype(np.float64), bottom
    return top.astype(np.int64), bottom
