"""How far two raters agree, beyond what chance alone would give."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stages.common.statistics.estimate import Floats

CELLS = ((True, True), (True, False), (False, True), (False, False))
"""What a first and a second rater said: the columns of a table of two raters."""


def cohens_kappa(pairs: Iterable[tuple[bool, bool]]) -> float | None:
    """``(po - pe) / (1 - pe)`` of two raters' labels (Cohen 1960), None where that is not defined."""
    said = list(pairs)
    value = kappas(np.array([[said.count(cell) for cell in CELLS]])).item()
    return None if np.isnan(value) else float(value)


def kappas(tables: npt.ArrayLike) -> Floats:
    """Cohen's kappa of each row of counts, (tables, 4) in the order of `CELLS`; NaN where it is not defined.

    That is where nothing was counted, and where chance alone would agree on all.
    """
    counts = np.asarray(tables, dtype=np.int64)
    total = counts.sum(axis=1)
    first, second = counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]
    # Whole numbers until the division: whether chance agrees on all must not hang on a rounding.
    chance = first * second + (total - first) * (total - second)
    values = np.full(total.shape, np.nan)
    beyond = total * (counts[:, 0] + counts[:, 3]) - chance
    np.divide(beyond, total * total - chance, out=values, where=chance < total * total)
    return values
