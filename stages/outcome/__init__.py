"""Outcomes: whether the final answer of each sample equals the gold answer, by the verifier of the problem's task."""

from stages.outcome.model_verifier import ModelQuestion, apply_responses, list_questions
from stages.outcome.verify_table import verify_samples

__all__ = ["ModelQuestion", "apply_responses", "list_questions", "verify_samples"]
