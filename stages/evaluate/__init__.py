"""Evaluation: how often a policy is right, alone and by vote, and how often by wrong steps."""

from stages.evaluate.attempts import pass_at_k
from stages.evaluate.evaluate import evaluate_policy
from stages.evaluate.majority import majority_winners

__all__ = ["evaluate_policy", "majority_winners", "pass_at_k"]
