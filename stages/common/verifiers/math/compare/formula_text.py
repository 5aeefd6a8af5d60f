r"""The LaTeX that algebra reads, rewritten where math-verify's parser has errors.

math-verify evaluates expressions outside of formulas as Python (SymPy's ``parse_expr``). It never gets one: each answer
is one formula, only the LaTeX parser is used, and its text is checked first.
"""

from __future__ import annotations

import re

from stages.common.verifiers.math.compare.plus_minus import expand_signs
from stages.common.verifiers.math.compare.quantities import split_unit

_ALLOWED = re.compile(r"[A-Za-z0-9\s\\{}()\[\]+\-*/^_=<>|.,;:!?%&'°]*", re.ASCII)
"""Letters, digits, operators and brackets of formulas; no control characters, and a quote only as a prime."""

_MAX_DEPTH = 12
"""Deepest nesting of brackets; each further pair of braces doubles the parser's time, seconds at 14."""

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


def prepare_formula(text: str) -> str | None:
    """Return the normalised answer `text` for the LaTeX parser, None where it must not be parsed."""
    text = text.replace(r"\$", "")
    if _ALLOWED.fullmatch(text) is None or _CODE.search(text) or _measure_depth(text) > _MAX_DEPTH:
        return None
    bare, unit = split_unit(text)
    if unit is not None and not re.search(r" [a-zA-Z]\Z", text) and "^\\circ" not in text[len(bare) :]:
        text = bare
    text = _convert_roots(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub(r"(\1 \\cdot \\frac{\\pi}{180})", text)
    text = strip_range(_keep_values(text))
    return expand_signs(_RECURRING.sub(_write_fraction, text)).strip(" ,;")


def convert_degrees(gold: str, answer: str) -> tuple[str, str]:
    """Return both texts with degrees in radians where one has a degree sign and the other pi."""
    for degrees, radians in ((gold, answer), (answer, gold)):
        if _DEGREES.fullmatch(degrees) and r"\pi" in radians:
            turned = _DEGREES.sub(r"\1 \\cdot \\frac{\\pi}{180}", degrees)
            return (turned, answer) if degrees is gold else (gold, turned)
    return gold, answer


def _keep_values(text: str) -> str:
    """Return only the values of a list of values of one variable, such as x_1 = 1, x_2 = 2."""
    parts = [_VALUE.fullmatch(part) for part in text.split(",")]
    values = [part for part in parts if part is not None]
    if len(values) < 2 or len(values) < len(parts) or len({value[1] for value in values}) > 1:
        return text
    return ",".join(value[2] for value in values)


def _convert_roots(text: str) -> str:
    r"""Return `text` with ``sqrt(...)`` as ``\sqrt{...}``."""
    while (match := _ROOT.search(text)) is not None:
        end = _find_closing(text, match.end())
        if end is None:
            return text
        text = rf"{text[: match.start()]}\sqrt{{{text[match.end() : end]}}}{text[end + 1 :]}"
    return text


def _find_closing(text: str, start: int) -> int | None:
    """Return the index of the bracket that closes the one opened before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


def _write_fraction(match: re.Match[str]) -> str:
    """Return a recurring decimal as a fraction; the parser reads ``0.\\overline{3}`` as 0."""
    whole, fixed, period = match[1] or "0", match[2], match[3]
    shift = 10 ** len(fixed)
    nines = 10 ** len(period) - 1
    return rf"\frac{{{int(whole + fixed) * nines + int(period)}}}{{{shift * nines}}}"


def _measure_depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth -= 1
    return deepest


_FUNCTION = re.compile(r"([a-zA-Z]) ?\(([a-z])\) ?=")
_FAMILY = re.compile(
    r",? ?(?:\\quad ?)?(?:\\text\{[^{}]*\}|(?:where|for|with) )? ?\(?([a-z]) ?\\in ?\\mathbb ?\{?[ZN]\}?\)?\Z"
)
_TOKEN = re.compile(r"\\[a-zA-Z]+|[a-z]")


def strip_range(text: str) -> str:
    r"""Return ``n\pi, n \in \mathbb{Z}`` as ``k\pi``: without the range, and with k as the name of the integer."""
    family = _FAMILY.search(text)
    if family is None or not text[: family.start()]:
        return text
    return _rename_variable(text[: family.start()], family[1], "k")


def rename_argument(gold: str, answer: str) -> str:
    """Return `answer` with the function argument's name of `gold`: f(t) = 2t becomes f(x) = 2x."""
    first, second = _FUNCTION.match(gold), _FUNCTION.match(answer)
    if first is None or second is None or first[1] != second[1] or first[2] == second[2]:
        return answer
    return _rename_variable(answer, second[2], first[2])


def _rename_variable(text: str, old: str, new: str) -> str:
    """Return `text` with variable `old` renamed to `new`, unchanged if it contains `new` already."""
    names = [token for token in _TOKEN.findall(text) if len(token) == 1]
    if new in names and new != old:
        return text
    return _TOKEN.sub(lambda token: new if token.group() == old else token.group(), text)
