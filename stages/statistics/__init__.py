"""Statistics: ratios with their intervals, their counts by problem, and two models compared on the same problems."""

from stages.statistics.compare import BY_PROBLEM, Comparison, compare, compare_reports, mcnemar_exact
from stages.statistics.counts import Counts, count, from_report, to_report
from stages.statistics.estimate import LEVEL, Estimate, Floats, Resampling, interval

__all__ = [
    "BY_PROBLEM",
    "LEVEL",
    "Comparison",
    "Counts",
    "Estimate",
    "Floats",
    "Resampling",
    "compare",
    "compare_reports",
    "count",
    "from_report",
    "interval",
    "mcnemar_exact",
    "to_report",
]
