"""Checking all rows of a run against what they can be recomputed from."""

from tools.audit.verify.run_checks import verify

__all__ = ["verify"]
