"""Keys of answers, equal where two answers differ in layout only."""

import re

_WRAPPER = re.compile(r"\\(?:text|textbf|mathbf|mathrm|boldsymbol|boxed|textit|bf|rm)\b\s*\{?|[${}]")
_SPACING = re.compile(r"\s+|\\[ ,;:!]|\\q?quad|\\left|\\right|\\displaystyle")
_NAMED = re.compile(r"^(?:[A-Za-z]|[A-Za-z]\([A-Za-z]\))=(?=[^=]+$)")


def make_comparison_key(answer: str) -> str:
    r"""Return `answer` without spacing, ``\text``, ``\dfrac``, ``x =`` and leading zeros.

    Answers with one key are one; those with two keys are left to the verifier.
    """
    answer = re.sub(r"\\[dt]?frac\s?(\d)\s?(\d)", r"\\frac{\1}{\2}", answer)
    answer = re.sub(r"\\[dt]frac", r"\\frac", answer)
    answer = re.sub(r"\}\s*\{", "/", answer)  # the fraction 1/23 is not 12/3
    answer = _WRAPPER.sub("", _SPACING.sub("", answer)).rstrip(".")
    answer = re.sub(r"^\((\w+)\)$", r"\1", _NAMED.sub("", answer))
    return re.sub(r"^0+(?=\d+$)", "", answer)
