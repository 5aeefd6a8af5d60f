"""Mathematics: answers are numbers, formulas, sets, quantities, words or choices, in LaTeX or plain text."""

from stages.common.verifiers.math.math_verifier import MathVerifier

__all__ = ["MathVerifier"]
