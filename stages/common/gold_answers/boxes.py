r"""Boxes in a text: ``\boxed{...}``, ``\fbox{...}``, ``\boxed 7 $``."""

import re
from typing import NamedTuple

_MAX_GAP_CHARS = 60
"""Longest text between two boxes that still make one list."""

_BOX_TOKEN = re.compile(
    r"\\(?:boxed|fbox|framebox)\s{0,9}\{|\\boxed\s{1,9}(?P<bare>[^\s{}$\\]{1,100})\s?\$|\\[\s\S]|[{}]"
)
_BETWEEN = re.compile(r"\\(?:q?quad|text\w{0,6}|mbox|[()\[\],;: ])|[\s$,;&{}()\[\]]")
_JOINED = re.compile(r"[^.\n=]{0,20}\b(?:and|or)\b(?!\s+(?:then|so|thus|hence|therefore))[^.\n]{0,12}")


class Box(NamedTuple):
    """A complete box: ``text[start:end]`` is the command, ``text[inner_start:inner_end]`` what it holds."""

    start: int
    inner_start: int
    inner_end: int
    end: int


def find_boxes(text: str) -> list[Box]:
    r"""Return the complete boxes in order, of nested ones the innermost, in linear time.

    ``\{`` is no brace; ``\boxed 5$``, which MATH has, is a box.
    """
    start = 0 if "\\fbox" in text or "\\framebox" in text else text.find("\\boxed")
    if start < 0:
        return []
    boxes: list[Box] = []
    opened: list[tuple[int, int] | None] = []  # for each open brace the start of its box and content, None if no box
    last = -1
    for token in _BOX_TOKEN.finditer(text, start):
        mark = token.group()
        if token["bare"] is not None:
            last = token.start()
            boxes.append(Box(token.start(), *token.span("bare"), token.end("bare")))
        elif mark == "{":
            opened.append(None)
        elif mark == "}":
            box = opened.pop() if opened else None
            if box is not None and last < box[0]:
                last = box[0]
                boxes.append(Box(*box, token.start(), token.end()))
        elif len(mark) > 2:
            opened.append(token.span())
    return boxes


def find_last_boxes(text: str) -> list[tuple[int, int]]:
    """Return the spans of what the last box that is not empty holds, and the boxes side by side before it."""
    boxes = [box for box in find_boxes(text) if text[box.inner_start : box.inner_end].strip()]
    if not boxes:
        return []
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if not _is_list_gap(text[box.end : group[-1].start]):
            break
        group.append(box)
    return [(box.inner_start, box.inner_end) for box in reversed(group)]


def _is_list_gap(between: str) -> bool:
    if len(between) > _MAX_GAP_CHARS:
        return False
    plain = _BETWEEN.sub(" ", between).strip()
    return plain in ("", "and", "or") or _JOINED.fullmatch(plain) is not None
