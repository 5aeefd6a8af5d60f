"""Statistics: ratios with intervals, counts by problem, comparisons of two policies, agreement of raters."""

from stages.common.statistics.bootstrap import CONFIDENCE_LEVEL, Bootstrap, Estimate, Floats, compute_interval
from stages.common.statistics.comparison import (
    BY_PROBLEM,
    Comparison,
    compare_counts,
    compare_evaluations,
    compute_mcnemar,
)
from stages.common.statistics.counts import Counts, count_by_problem, format_counts, parse_counts
from stages.common.statistics.kappa import CONTINGENCY_CELLS, compute_kappas, estimate_kappa
from stages.common.statistics.krippendorff import compute_alphas, count_coincidences, estimate_alpha

__all__ = [
    "BY_PROBLEM",
    "CONFIDENCE_LEVEL",
    "CONTINGENCY_CELLS",
    "Bootstrap",
    "Comparison",
    "Counts",
    "Estimate",
    "Floats",
    "compare_counts",
    "compare_evaluations",
    "compute_alphas",
    "compute_interval",
    "compute_kappas",
    "compute_mcnemar",
    "count_by_problem",
    "count_coincidences",
    "estimate_alpha",
    "estimate_kappa",
    "format_counts",
    "parse_counts",
]
