"""Statistics: ratios with intervals, counts by problem, two models compared, two raters compared."""

from stages.common.statistics.agreement import CELLS, cohens_kappa, kappas
from stages.common.statistics.compare import BY_PROBLEM, Comparison, compare, compare_reports, mcnemar_exact
from stages.common.statistics.counts import Counts, count, from_report, to_report
from stages.common.statistics.estimate import LEVEL, Estimate, Floats, Resampling, interval
from stages.common.statistics.people import VERDICT_KEYS, VERDICT_LABELS, check_verdict, read_verdicts

__all__ = [
    "BY_PROBLEM",
    "CELLS",
    "LEVEL",
    "VERDICT_KEYS",
    "VERDICT_LABELS",
    "Comparison",
    "Counts",
    "Estimate",
    "Floats",
    "Resampling",
    "check_verdict",
    "cohens_kappa",
    "compare",
    "compare_reports",
    "count",
    "from_report",
    "interval",
    "kappas",
    "mcnemar_exact",
    "read_verdicts",
    "to_report",
]
