r"""Plus-or-minus signs, written out as a list."""

from __future__ import annotations

import re
from itertools import product

_MOST = 3
"""Signs in one element that are written out."""

_MOST_ELEMENTS = 8

_SIGN = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
_BRACKET = re.compile(r"\\[{}]|[{}()\[\],]")
_OPENING = frozenset({r"\{", "{", "(", "["})
_FLIPPED = {"+": "-", "-": "+"}


def both_signs(text: str) -> str:
    r"""``1 \pm x, 2`` as ``1 + x, 1 - x, 2``; where ``\mp`` stands beside ``\pm``, the signs go together.

    A sign doubles the element of the list or set that it stands in; a point is one element.
    """
    position = 0
    for _ in range(_MOST_ELEMENTS):
        match = _SIGN.search(text, position)
        if match is None:
            return text
        start, end = _element(text, match.start())
        written = _written_out(text[start:end])
        text = text[:start] + written + text[end:]
        position = start + len(written)
    return text


def _element(text: str, position: int) -> tuple[int, int]:
    """Span of the element of the list or set around `position`."""
    starts, kinds = [0], []
    for token in _BRACKET.finditer(text, 0, position):
        mark = token.group()
        if mark in _OPENING:
            kinds.append(mark)
            starts.append(token.end())
        elif mark == ",":
            starts[-1] = token.end()
        elif kinds:
            kinds.pop()
            starts.pop()
    level = next((index for index, kind in enumerate(kinds) if kind != r"\{"), len(kinds))
    depth = len(kinds) - level
    for token in _BRACKET.finditer(text, position):
        mark = token.group()
        if mark in _OPENING:
            depth += 1
        elif depth == 0:
            return starts[level], token.start()
        elif mark != ",":
            depth -= 1
    return starts[level], len(text)


def _written_out(element: str) -> str:
    signs: list[str] = _SIGN.findall(element)
    if len(signs) > _MOST:
        return element
    together = "mp" in signs
    choices = [("+",) * len(signs), ("-",) * len(signs)] if together else list(product("+-", repeat=len(signs)))
    return ", ".join(_with_signs(element, choice) for choice in choices)


def _with_signs(element: str, choice: tuple[str, ...]) -> str:
    signs = iter(choice)
    return _SIGN.sub(lambda sign: next(signs) if sign[1] == "pm" else _FLIPPED[next(signs)], element)
