"""Auditing: following a label back to what made it, and checking all of them. Not part of the data flow."""

from tools.audit.check_results import CHECKS, CheckResult, CheckResults
from tools.audit.verify import verify

__all__ = ["CHECKS", "CheckResult", "CheckResults", "verify"]
