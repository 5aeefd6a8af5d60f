"""Answers with plus-or-minus signs as lists of both values."""

from __future__ import annotations

import re
from itertools import product

_MAX_SIGNS = 3
"""Signs in one element; an element with more stays as it is."""

_MAX_ELEMENTS = 8

_SIGN = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
_BRACKET = re.compile(r"\\[{}]|[{}()\[\],]")
_OPENING = frozenset({r"\{", "{", "(", "["})
_FLIPPED = {"+": "-", "-": "+"}


def expand_signs(text: str) -> str:
    r"""Return ``1 \pm x, 2`` as ``1 + x, 1 - x, 2``; ``\mp`` and ``\pm`` in one element change together.

    A sign doubles the element of the list or set that it stands in; a point is one element.
    """
    position = 0
    for _ in range(_MAX_ELEMENTS):
        match = _SIGN.search(text, position)
        if match is None:
            return text
        start, end = _find_element(text, match.start())
        written = _write_out(text[start:end])
        text = text[:start] + written + text[end:]
        position = start + len(written)
    return text


def _find_element(text: str, position: int) -> tuple[int, int]:
    """Return the span of the element of the list or set around `position`."""
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


def _write_out(element: str) -> str:
    signs: list[str] = _SIGN.findall(element)
    if len(signs) > _MAX_SIGNS:
        return element
    together = "mp" in signs
    choices = [("+",) * len(signs), ("-",) * len(signs)] if together else list(product("+-", repeat=len(signs)))
    return ", ".join(_set_signs(element, choice) for choice in choices)


def _set_signs(element: str, choice: tuple[str, ...]) -> str:
    signs = iter(choice)
    return _SIGN.sub(lambda sign: next(signs) if sign[1] == "pm" else _FLIPPED[next(signs)], element)
