"""Krippendorff's alpha: agreement of any number of raters beyond chance, with labels missing."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from stages.common.statistics.bootstrap import Bootstrap, Floats, compute_interval


def count_coincidences(units: Iterable[Sequence[int]], num_values: int) -> Floats:
    """How often two raters of a unit give the values c and k, shape (num_values, num_values).

    A unit holds the labels that it got, 0 to `num_values` - 1; its m labels count m in all, and a single label nothing,
    since it can be compared with none (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").
    """
    table = np.zeros((num_values, num_values))
    for unit in units:
        if len(unit) > 1:
            counts = np.bincount(unit, minlength=num_values)
            table += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return table


def compute_alphas(tables: npt.ArrayLike) -> Floats:
    """Nominal alpha, ``1 - observed / expected`` disagreement, of each table of coincidences, (tables, K, K).

    NaN where it is not defined: where nothing can be compared, and where only one value was given.
    """
    coincidences = np.asarray(tables, dtype=np.float64)
    by_value = coincidences.sum(axis=2)
    total = by_value.sum(axis=1)
    disagreeing = total - np.trace(coincidences, axis1=1, axis2=2)
    expected = (by_value * (total[:, None] - by_value)).sum(axis=1)
    values = np.full(total.shape, np.nan)
    np.divide((total - 1) * disagreeing, expected, out=values, where=expected > 0)
    return 1 - values


def estimate_alpha(tables: Sequence[Floats], bootstrap: Bootstrap) -> dict[str, float | None]:
    """Nominal alpha with its interval over problems, from the coincidences of each problem.

    Its ``value``, ``low`` and ``high`` are None where it is not defined.
    """
    stacked = np.stack(tables) if tables else np.zeros((1, 1, 1))
    value = compute_alphas(stacked.sum(axis=0, keepdims=True)).item()
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    resampled = bootstrap.resample_sums(list(stacked.reshape(len(stacked), -1).T))
    low, high = compute_interval(compute_alphas(resampled.T.reshape(-1, *stacked.shape[1:])))
    return {"value": value, "low": low, "high": high}
