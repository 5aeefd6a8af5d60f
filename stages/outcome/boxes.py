r"""Boxes in a solution: ``\boxed{...}``, ``\fbox{...}``, ``\boxed 7 $``."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SIDE_BY_SIDE = 60
"""Longest text between two boxes that still make one list."""

_BOX_TOKEN = re.compile(
    r"\\(?:boxed|fbox|framebox)\s{0,9}\{|\\boxed\s{1,9}(?P<bare>[^\s{}$\\]{1,100})\s?\$|\\[\s\S]|[{}]"
)
_BETWEEN = re.compile(r"\\(?:q?quad|text\w{0,6}|mbox|[()\[\],;: ])|[\s$,;&{}()\[\]]")
_JOINED = re.compile(r"[^.\n=]{0,20}\b(?:and|or)\b(?!\s+(?:then|so|thus|hence|therefore))[^.\n]{0,12}")


def last_boxes(text: str) -> list[tuple[int, int]]:
    """Spans of what the last complete box that is not empty holds, and those side by side before it."""
    boxes = [box for box in _boxes(text) if not text[box[1] : box[2]].isspace() and box[1] < box[2]]
    if not boxes:
        return []
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if not _side_by_side(text[box[3] : group[-1][0]]):
            break
        group.append(box)
    return [(start, end) for _, start, end, _ in reversed(group)]


def _boxes(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Complete boxes, of nested ones the innermost: start, start and end of the content, end. Linear time."""
    first = text.find("\\boxed") if "\\boxed" in text else 0
    if "\\fbox" in text or "\\framebox" in text:
        first = 0
    elif "\\boxed" not in text:
        return
    opened: list[tuple[int, int] | None] = []
    last = -1
    for token in _BOX_TOKEN.finditer(text, first):
        if token["bare"] is not None:
            yield token.start(), *token.span("bare"), token.end("bare")
            continue
        mark = token.group()
        if mark == "{":
            opened.append(None)
        elif mark == "}":
            box = opened.pop() if opened else None
            if box is not None and last < box[0]:
                last = box[0]
                yield box[0], box[1], token.start(), token.end()
        elif len(mark) > 2:
            opened.append(token.span())


def _side_by_side(between: str) -> bool:
    if len(between) > _SIDE_BY_SIDE:
        return False
    plain = _BETWEEN.sub(" ", between).strip()
    return plain in ("", "and", "or") or _JOINED.fullmatch(plain) is not None
