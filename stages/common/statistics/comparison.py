"""Two policies on the same problems: the difference with its interval, and McNemar's exact test."""

from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np

from stages.common.statistics.bootstrap import Bootstrap, compute_interval
from stages.common.statistics.counts import Counts, parse_counts

BY_PROBLEM = "by_problem"
"""Key of the counts by problem in an evaluation's report."""


@dataclass(frozen=True)
class Comparison:
    """A metric before and after on the same problems.

    `difference` is after minus before; `low` and `high` are its 95% interval: the percentile bootstrap over problems,
    with the same draws for both. `num_gained` problems are correct only after, `num_lost` only before, and `p_value`
    is McNemar's, two-sided and exact; these three are None unless the metric is yes or no per problem.
    """

    num_problems: int
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    num_gained: int | None
    num_lost: int | None
    p_value: float | None


def compute_mcnemar(num_gained: int, num_lost: int) -> float:
    """Two-sided p-value of McNemar's test (1947), exact form: are gains and losses equally likely?

    Raises `ValueError` for a negative number.
    """
    if num_gained < 0 or num_lost < 0:
        raise ValueError(f"numbers of changes: expected none below 0, found {num_gained} and {num_lost}")
    changes = num_gained + num_lost
    tail = sum(comb(changes, number) for number in range(min(num_gained, num_lost) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**changes)))


def compare_counts(before: Counts, after: Counts, bootstrap: Bootstrap) -> Comparison | None:
    """Compare a metric's counts on the same problems in the same order; None if either counted nothing.

    Raises `ValueError` if the numbers of problems differ.
    """
    if before.numerators.shape != after.numerators.shape:
        raise ValueError(f"other problems: {before.numerators.size} before, {after.numerators.size} after")
    old, new = before.value, after.value
    if old is None or new is None:
        return None
    ratios = [bootstrap.resample_ratio(counts.numerators, counts.denominators) for counts in (before, after)]
    low, high = compute_interval(ratios[1] - ratios[0])
    return Comparison(before.numerators.size, old, new, new - old, low, high, *_test_changes(before, after))


def compare_evaluations(before: Any, after: Any, bootstrap: Bootstrap) -> dict[str, Comparison]:
    """Comparisons by metric, sorted by name, of two evaluation reports (of a split or a benchmark).

    Empty if the two were measured on different problems or hold no counts by problem.
    """
    stored = [report.get(BY_PROBLEM) if isinstance(report, dict) else None for report in (before, after)]
    first, second = (value if isinstance(value, dict) else {} for value in stored)
    if not first or first.get("problems") != second.get("problems"):
        return {}
    comparisons: dict[str, Comparison] = {}
    for name in sorted(first.keys() & second.keys()):
        old, new = parse_counts(first[name]), parse_counts(second[name])
        if old is None or new is None or old.numerators.size != new.numerators.size:
            continue
        comparison = compare_counts(old, new, bootstrap)
        if comparison is not None:
            comparisons[name] = comparison
    return comparisons


def _test_changes(before: Counts, after: Counts) -> tuple[int, int, float] | tuple[None, None, None]:
    """Problems gained, lost, and McNemar's p-value; None for counts that are not yes or no per problem."""
    for counts in (before, after):
        if not np.all(counts.denominators == 1) or not np.all(np.isin(counts.numerators, (0, 1))):
            return None, None, None
    num_gained = int(np.sum(after.numerators > before.numerators))
    num_lost = int(np.sum(after.numerators < before.numerators))
    return num_gained, num_lost, compute_mcnemar(num_gained, num_lost)
