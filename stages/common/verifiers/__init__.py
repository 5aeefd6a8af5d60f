"""Verifiers: one for each task, looked up by the column `task` of a problem.

A verifier from outside subclasses `Verifier` and calls ``VERIFIERS.register("my_task", MyVerifier)``.
"""

from stages.common.verifiers.verifier import (
    BY_SHAPE,
    GUESS,
    UNSTABLE_REASONS,
    Decision,
    ExtractedAnswer,
    Verdict,
    Verifier,
    VerifierInput,
)
from stages.common.verifiers.verify import VERIFIERS, VerifierSet, verify_answer, verify_answers

__all__ = [
    "BY_SHAPE",
    "GUESS",
    "UNSTABLE_REASONS",
    "VERIFIERS",
    "Decision",
    "ExtractedAnswer",
    "Verdict",
    "Verifier",
    "VerifierInput",
    "VerifierSet",
    "verify_answer",
    "verify_answers",
]
