"""Auditing: following a label back to what made it, and checking all of them. Not part of the data flow."""

from tools.audit.check_results import CHECKS, CheckResult, CheckResults
from tools.audit.lineage.label_diff import diff
from tools.audit.lineage.published_row import show_row
from tools.audit.lineage.show import show
from tools.audit.verify import verify

__all__ = [
    "CHECKS",
    "CheckResult",
    "CheckResults",
    "diff",
    "show",
    "show_row",
    "verify",
]
