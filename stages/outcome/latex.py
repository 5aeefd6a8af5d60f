r"""What algebra gets to read: LaTeX between dollar signs, with the faults of the parser written around.

math-verify hands expressions outside of formulas to SymPy's ``parse_expr``, which evaluates Python. Nothing goes that
way: everything is presented as one formula, only the LaTeX parser is asked for, and its text is checked first.
"""

from __future__ import annotations

import re

from stages.outcome.signs import both_signs
from stages.outcome.units import split_unit
from stages.outcome.variables import without_range

_ALLOWED = re.compile(r"[A-Za-z0-9\s\\{}()\[\]+\-*/^_=<>|.,;:!?%&'°]*", re.ASCII)
"""Letters, digits, and the operators and brackets of formulas: no control characters, and a quote only as a prime."""

_DEEPEST = 12
"""Brackets inside each other; each further pair of braces doubles the parser's time, seconds at 14."""

_CODE = re.compile(r"__|(?<![A-Za-z)\]}'])'|\bimport\b|\blambda\b|\beval\b|\bexec\b")
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|gcd|lcm|max|min"
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r",? ?\\text\{[ ,]*(?:and|or)[ ,]*\} ?", ", "),
        (r",? ?(?:(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|(?<=\d)(?:and|or)) ?", ", "),
        (r"\\text\{(i|e|[A-Z]{1,4})\}", r"\1"),
        (r"(?<=[\w})]) ?\\text\{[^{}]*\}(?:\^\{?[23]\}?)?", ""),
        (r"(?<=\d)\.(\d*)\\dot\{(\d)\}", r".\1\\overline{\2}"),
        (r"\*\*", "^"),
        (r"\*", r"\\cdot "),
        (rf"(?<![A-Za-z\\])({_FUNCTIONS})(?![A-Za-z])", r"\\\1 "),
        (r"(?<![A-Za-z\\])(?:infinity|infty|inf)(?![A-Za-z])", r"\\infty "),
        (r"(?<![A-Za-z\\])(pi|theta|alpha|beta|gamma)(?![A-Za-z])", r"\\\1 "),
        (r"\\infinity", r"\\infty"),
        (r"(?<=\d)\\?%", ""),
        (r"\\\{ ?[a-zA-Z] ?(?:\\in ?(?:\\mathbb\{R\}|R) ?)?(?:\\mid|\||:|\\colon) ?([^{}|]*[<>=\\][^{}|]*)\\\}", r"\1"),
        (r"([a-z]) ?\\notin ?\\\{([^{},]*)\\\}", r"\1 \\neq \2"),
        (r"\A([-+0-9./\\{}a-z]*\d[0-9./\\{}]*) ?= ?([a-zA-Z])\Z", r"\2=\1"),
        (r"\A[a-z] ?\\equiv ?(?=.*\\pmod)", ""),
        (r"(?<![A-Za-z\\])C_\{?(\d+)\}?\^\{?(\d+)\}?", r"\\binom{\1}{\2}"),
        (r"(?:\A|(?<=[-+*/=({]))(?:\{\})?[_^]\{?(\d+)\}? ?C_\{?(\d+)\}?", r"\\binom{\1}{\2}"),
        (r"\A\\mathbb ?\{?R\}?\Z", r"(-\\infty,\\infty)"),
        (r"(?<![A-Za-z\\])\\?sqrt ?(\d|(?<= )[a-z])", r"\\sqrt{\1}"),
        (r"\s+", " "),
    )
)
_RECURRING = re.compile(r"(\d{0,20})\.(\d{0,20})\\overline\{(\d{1,20})\}")
_ROOT = re.compile(r"(?<![A-Za-z\\])\\?sqrt ?\(")
_VALUE = re.compile(r" ?([a-zA-Z])(?:_\{?\d\}?)? ?= ?([^=<>]+)")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?) ?\^\{?\\circ\}?")


def for_algebra(text: str) -> str | None:
    """The normalised answer `text` as the LaTeX parser is to read it, None where it must not be read at all."""
    text = text.replace(r"\$", "")
    if _ALLOWED.fullmatch(text) is None or _CODE.search(text) or _depth(text) > _DEEPEST:
        return None
    bare, unit = split_unit(text)
    if unit is not None and not re.search(r" [a-zA-Z]\Z", text) and "^\\circ" not in text[len(bare) :]:
        text = bare
    text = _roots(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"(\1 \\cdot \\frac{\\pi}{180})", text)
    text = without_range(_one_unknown(text))
    return both_signs(_RECURRING.sub(_fraction, text)).strip(" ,;")


def same_angle(gold: str, answer: str) -> tuple[str, str]:
    """Both texts with degrees in radians, where one has a degree sign and the other says pi."""
    for degrees, radians in ((gold, answer), (answer, gold)):
        if _DEGREES.fullmatch(degrees) and r"\pi" in radians:
            turned = _DEGREES.sub(r"\1 \\cdot \\frac{\\pi}{180}", degrees)
            return (turned, answer) if degrees is gold else (gold, turned)
    return gold, answer


def _one_unknown(text: str) -> str:
    """The values alone, where an answer is a list of values of one unknown, numbered or not: x_1 = 1, x_2 = 2."""
    parts = [_VALUE.fullmatch(part) for part in text.split(",")]
    values = [part for part in parts if part is not None]
    if len(values) < 2 or len(values) < len(parts) or len({value[1] for value in values}) > 1:
        return text
    return ",".join(value[2] for value in values)


def _roots(text: str) -> str:
    r"""``sqrt(...)`` as ``\sqrt{...}``."""
    while (match := _ROOT.search(text)) is not None:
        end = _closing(text, match.end())
        if end is None:
            return text
        text = rf"{text[: match.start()]}\sqrt{{{text[match.end() : end]}}}{text[end + 1 :]}"
    return text


def _closing(text: str, start: int) -> int | None:
    """Where the round bracket that was opened before `start` is closed."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


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
