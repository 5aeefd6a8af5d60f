"""Auditing: following a label back to what made it, and checking all of them. Not part of the data flow."""

from tools.audit.findings import CHECKS, Finding, Findings
from tools.audit.verify import verify

__all__ = ["CHECKS", "Finding", "Findings", "verify"]
