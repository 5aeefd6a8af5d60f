"""Two rounds on the same problems: the difference with its interval, and McNemar's exact test."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np

from stages.common.statistics.counts import Counts, from_report
from stages.common.statistics.estimate import Resampling, interval

BY_PROBLEM = "by_problem"
"""Key of an evaluation's report under which its counts by problem lie."""


@dataclass(frozen=True)
class Comparison:
    """A metric before and after on the same problems.

    `difference` is after minus before, `low` and `high` the 95% interval of it: the percentile bootstrap over problems,
    both rounds on the same draws. `gained` problems are right only after, `lost` ones only before, and `p_value` is
    McNemar's, two-sided and exact; these three are null for a metric that is not one yes or no per problem.
    """

    problems: int
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    gained: int | None
    lost: int | None
    p_value: float | None


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided p-value of `gained` against `lost` changes, if both were equally likely (McNemar 1947, exact form).

    Raises `ValueError` for a negative number.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"numbers of changes: expected none below 0, found {gained} and {lost}")
    changes = gained + lost
    tail = sum(comb(changes, number) for number in range(min(gained, lost) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**changes)))


def compare(before: Counts, after: Counts, resampling: Resampling) -> Comparison | None:
    """Compare a metric's counts on the same problems, in the same order; null where one of the two counted nothing.

    Raises `ValueError` where the numbers of problems differ.
    """
    if before.numerators.shape != after.numerators.shape:
        raise ValueError(f"other problems: {before.numerators.size} before, {after.numerators.size} after")
    old, new = before.value, after.value
    if old is None or new is None:
        return None
    resampled = [resampling.resampled(counts.numerators, counts.denominators) for counts in (before, after)]
    low, high = interval(resampled[1] - resampled[0])
    gained, lost, p_value = _changes(before, after)
    return Comparison(before.numerators.size, old, new, new - old, low, high, gained, lost, p_value)


def compare_reports(before: Any, after: Any, resampling: Resampling) -> dict[str, Comparison]:
    """Comparisons by metric of two evaluations' reports (of a split, or of a benchmark), in the order of their names.

    Empty where the two were measured on different problems or hold no counts by problem.
    """
    kept = [report.get(BY_PROBLEM) if isinstance(report, dict) else None for report in (before, after)]
    first, second = (value if isinstance(value, dict) else {} for value in kept)
    if not first or first.get("problems") != second.get("problems"):
        return {}
    found: dict[str, Comparison] = {}
    for name in sorted(first.keys() & second.keys()):
        old, new = from_report(first[name]), from_report(second[name])
        if old is None or new is None or old.numerators.size != new.numerators.size:
            continue
        comparison = compare(old, new, resampling)
        if comparison is not None:
            found[name] = comparison
    return found


def _changes(before: Counts, after: Counts) -> tuple[int, int, float] | tuple[None, None, None]:
    """Problems gained, lost, and McNemar's p-value; nulls for counts that are not one yes or no per problem."""
    for counts in (before, after):
        if not np.all(counts.denominators == 1) or not np.all(np.isin(counts.numerators, (0, 1))):
            return None, None, None
    gained = int(np.sum(after.numerators > before.numerators))
    lost = int(np.sum(after.numerators < before.numerators))
    return gained, lost, mcnemar_exact(gained, lost)
