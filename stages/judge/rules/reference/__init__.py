"""A judge that compares the computations of a step with those of the reference solution."""

from stages.judge.rules.reference.reference_judge import ReferenceJudge

__all__ = ["ReferenceJudge"]
