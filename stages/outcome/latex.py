r"""What algebra gets to read: LaTeX between dollar signs, with the faults of the parser written around.

math-verify hands expressions outside of formulas to SymPy's ``parse_expr``, which evaluates Python. Nothing goes that
way: everything is presented as one formula, only the LaTeX parser is asked for, and its text is checked first.
"""

from __future__ import annotations

import re

_ALLOWED = re.compile(r"[A-Za-z0-9\s\\{}()\[\]+\-*/^_=<>|.,;:!?%&'°]*", re.ASCII)
"""Letters, digits, and the operators and brackets of formulas: no control characters, and a quote only as a prime."""

_DEEPEST = 20
"""Brackets inside each other; the parser takes seconds for 50."""

_CODE = re.compile(r"__|(?<![A-Za-z)\]}'])'|\bimport\b|\blambda\b|\beval\b|\bexec\b")
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\text\{[ ,]*(?:and|or)[ ,]*\}", ", "),
        (r"(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])", ", "),
        (r"(?<=[\w})]) ?\\text\{[^{}]*\}(?:\^\{?[23]\}?)?", ""),
        (r"(?<=\d)\.(\d*)\\dot\{(\d)\}", r".\1\\overline{\2}"),
        (r"\*\*", "^"),
        (r"\*", r"\\cdot "),
        (r"(?<![A-Za-z\\])sqrt\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\\])(pi|infinity|infty|theta)(?![A-Za-z])", r"\\\1 "),
        (r"\\infinity", r"\\infty"),
        (r"(?<=\d)\\?%", ""),
        (r"\s+", " "),
    )
)
_RECURRING = re.compile(r"(\d{0,20})\.(\d{0,20})\\overline\{(\d{1,20})\}")


def for_algebra(text: str) -> str | None:
    """The normalised answer `text` as the LaTeX parser is to read it, None where it must not be read at all."""
    if _ALLOWED.fullmatch(text) is None or _CODE.search(text) or _depth(text) > _DEEPEST:
        return None
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return _RECURRING.sub(_fraction, text).strip(" ,;")


def _fraction(match: re.Match[str]) -> str:
    """A recurring decimal as a fraction: the parser takes ``0.\\overline{3}`` for 0."""
    whole, fixed, period = match[1] or "0", match[2], match[3]
    shift = 10 ** len(fixed)
    nines = 10 ** len(period) - 1
    return rf"\frac{{{int(whole + fixed) * nines + int(period)}}}{{{shift * nines}}}"


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth -= 1
    return deepest
