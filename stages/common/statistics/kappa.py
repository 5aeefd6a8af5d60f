"""Agreement of two raters beyond chance."""

import numpy as np
import numpy.typing as npt

from stages.common.statistics.bootstrap import Bootstrap, Floats, compute_interval

CONTINGENCY_CELLS = ((True, True), (True, False), (False, True), (False, False))
"""Labels of the first and the second rater: the columns of a flattened 2x2 table."""


def compute_kappas(tables: npt.ArrayLike) -> Floats:
    """Cohen's kappa (1960), ``(po - pe) / (1 - pe)``, of each row of counts.

    `tables` has shape (tables, 4), in the order of `CONTINGENCY_CELLS`. NaN where it is not defined: where nothing was
    counted, and where chance alone would agree on everything.
    """
    counts = np.asarray(tables, dtype=np.int64)
    total = counts.sum(axis=1)
    first, second = counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]
    # Integers until the division, so that rounding cannot decide whether chance agrees on everything.
    by_chance = first * second + (total - first) * (total - second)
    values = np.full(total.shape, np.nan)
    beyond_chance = total * (counts[:, 0] + counts[:, 3]) - by_chance
    np.divide(beyond_chance, total * total - by_chance, out=values, where=by_chance < total * total)
    return values


def estimate_kappa(tables: npt.ArrayLike, bootstrap: Bootstrap) -> dict[str, float | None]:
    """Cohen's kappa with its interval over problems, from counts of shape (problems, 4) as in `compute_kappas`.

    Its ``value``, ``low`` and ``high`` are None where it is not defined.
    """
    counts = np.asarray(tables, dtype=np.int64).reshape(-1, len(CONTINGENCY_CELLS))
    value = compute_kappas(counts.sum(axis=0, keepdims=True)).item()
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = compute_interval(compute_kappas(bootstrap.resample_sums(list(counts.T)).T))
    return {"value": value, "low": low, "high": high}
