"""The side of an equation that is its value: of ``3 + 4 = 7`` the last, while ``x + y = 7`` stays whole."""

import re
from itertools import pairwise
from typing import NamedTuple

from stages.common.verifiers.math.extract.sentence_tokens import FORMULA

_SIDES = re.compile(r"(?<![<>!≤≥\\=])=(?!=)")
_LETTERS = re.compile(
    r"\\(?:frac|dfrac|tfrac|sqrt|cdot|times|div|left|right|pi|displaystyle|,|;|:|!|%|\$|binom|sin|cos|tan|cot|log|ln|circ)"
    r"|\b[A-Za-z]{2,}\b|(?<=[\d)%]) ?[xX] ?(?=[$\d(])|(?<=\d)(?:kg|km|cm|mm|mg|ml|lbs?|oz|ft|hrs?|mins?)\b"
)
"""What may stand in a number besides digits and signs: commands, units, x as a sign."""
_NOT_ONE_EQUATION = re.compile(r",(?!\d{3})|(?<![a-z])(?:and|or)(?![a-z])|\\text|&|[<>]|\\[lg]eq?\b")
_PLAIN_NUMBER = re.compile(r"[-−]?\s*\\?[$€£]?\d+(?:\.\d+)?(?:\s\w+)?")
_ROWS = re.compile(
    r"\\begin\{(?P<name>(?:align|aligned|eqnarray|split|gather)\*?)\}(?P<rows>[\s\S]*)\\end\{(?P=name)\}"
)


class FoundAnswer(NamedTuple):
    """The span of an answer, whether it is a guess, its text if that is not the span's, and whether it is a value."""

    start: int
    end: int
    is_guess: bool = False
    text: str | None = None
    is_value: bool = True


def narrow_value(text: str, start: int, end: int, is_guess: bool = False) -> FoundAnswer:
    """Return the span of a value: of ``3 + 4 = 7`` and ``S = 3 + 4 = 7`` the last side, ``x + y = 7`` whole."""
    formula = FORMULA.match(text, start, end)
    first, last = start, end
    if formula is not None and _SIDES.search(formula.group()):
        open_chars = 1 if formula.group().startswith("$") and not formula.group().startswith("$$") else 2
        first, last = start + open_chars, formula.end() - open_chars
    if (rows := _ROWS.search(text, start, end)) is not None:
        return _narrow_rows(text, *rows.span("rows"), is_guess)
    part = text[first:last]
    signs = list(_SIDES.finditer(part))
    if not signs or _NOT_ONE_EQUATION.search(part) or FORMULA.search(part):
        return FoundAnswer(start, end, is_guess)
    before = part[: signs[-1].start()]
    is_number = re.search(r"[^\W\d_]", _LETTERS.sub(" ", before)) is None and any(map(str.isdigit, before))
    if len(signs) == 1 and not is_number:
        return FoundAnswer(start, end, is_guess)
    edges = [-1, *(sign.start() for sign in signs), len(part)]
    sides = [(left + 1, right) for left, right in pairwise(edges)]
    numbers = [side for side in sides if _PLAIN_NUMBER.fullmatch(part[slice(*side)].strip(" .$"))]
    left, right = (numbers or sides)[-1]
    if not part[left:right].strip(" .") or not _is_balanced(part[left:right]):
        return FoundAnswer(start, end, is_guess)
    return FoundAnswer(first + left, first + right, is_guess)


def _narrow_rows(text: str, start: int, end: int, is_guess: bool) -> FoundAnswer:
    """Return the last side of the last row of an aligned formula; a row ``x &= 2`` without its mark."""
    end = start + len(text[start:end].rstrip(" \n\\."))
    start = max(start, text.rfind("\\\\", start, end) + 2)
    row = text[start:end]
    signs = list(_SIDES.finditer(row))
    if len(signs) == 1 and row[: signs[0].start()].strip(" &\n"):
        return FoundAnswer(start, end, is_guess, row.replace("&", " ").strip())
    return FoundAnswer(start + signs[-1].end() if signs else start, end, is_guess)


def _is_balanced(text: str) -> bool:
    return all(text.count(left) == text.count(right) for left, right in ("()", "{}", "[]"))
