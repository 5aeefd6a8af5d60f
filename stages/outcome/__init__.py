"""Outcomes: whether the final answer of each sample equals the gold answer, by the verifier of the problem's task."""

from stages.outcome.verify_table import verify_samples

__all__ = ["verify_samples"]
