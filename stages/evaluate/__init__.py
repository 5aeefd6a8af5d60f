"""Evaluation: how often a policy is correct, alone and by majority vote, and how often with incorrect steps."""

from stages.evaluate.evaluation import evaluate_policy
from stages.evaluate.recorded_completions import run_recorded
from stages.evaluate.several_samples import choose_majority, estimate_pass_at_k

__all__ = ["choose_majority", "estimate_pass_at_k", "evaluate_policy", "run_recorded"]
