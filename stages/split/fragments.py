"""Parts of a text that are no steps of their own, and what each of them joins. docs/steps.md has the table."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from stages.common.thinking import is_thinking_mark
from stages.split.line_kinds import Line, poses_problem
from stages.split.openings import is_opening
from stages.split.protect import Span, is_display

_SAYING = re.compile(r"[^\W_]")
"""A letter or a digit: without one, a part says nothing."""

_RULE = re.compile(r"\s*(?:[-*_=–—~]{3,}|(?:[-*_] ){2,}[-*_])\s*")
_LEAD_IN_END = re.compile(r"[:：][ \t\r\n*_\"”]{0,99}\Z")
_CONTINUATION = re.compile(
    r"(?:\$|\\\()?(?:[=<>≤≥≈≡⇒→+×·÷](?=[\s\d\\$(])"
    r"|\\(?:implies|Rightarrow|therefore|approx|leq?|geq?|equiv|times)\b|[a-z]{2,}(?=[\s,]))"
)
"""How a part begins that goes on with the sentence or the equation before it."""


_END_MARK = re.compile(r"\\(?:blacksquare|square|qed|Box)\b|\bQ\.?E\.?D\b\.?|^\s*\d{1,3}[.)](?=\s)")
"""Marks of an end, and an item's number, that say nothing beside a formula."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text between two places where a step might begin."""

    start: int
    end: int
    line: Line | None = None
    """The line at its beginning; None for a sentence."""
    previous: Line | None = None
    """The line before it."""


def merge_parts(text: str, parts: list[Part], spans: list[Span]) -> list[Span]:
    """Steps made of `parts`, which cover `text`: what states nothing joins a neighbour. Linear time.

    `spans` are protected ones, sorted and disjoint. What joins the part that follows joins the one before at the end of
    the text.
    """
    steps: list[Span] = []
    is_open = is_headed = False  # whether the last step states nothing yet; whether it has a heading
    for part, inside in zip(parts, _group_spans(parts, spans), strict=True):
        words = text[part.start : part.end].strip()
        states_nothing = _states_nothing(words, part)
        if steps and (is_open or _joins_before(text, words, part, inside, is_headed)):
            steps[-1] = (steps[-1][0], part.end)
            is_open = states_nothing and (is_open or _is_led_to(text, part))
        else:
            steps.append((part.start, part.end))
            is_open, is_headed = states_nothing, False
        is_headed = is_headed or (part.line is not None and part.line.kind in ("step", "item"))
    if is_open and len(steps) > 1:
        steps[-2:] = [(steps[-2][0], steps[-1][1])]
    return steps


def _group_spans(parts: list[Part], spans: list[Span]) -> Iterator[list[Span]]:
    """Those of `spans` that begin in each of `parts`."""
    waiting = deque(spans)
    for part in parts:
        inside = []
        while waiting and waiting[0][0] < part.end:
            inside.append(waiting.popleft())
        yield inside


def _states_nothing(words: str, part: Part) -> bool:
    """Whether a part is only a heading, a title, a rule of dashes or an opening, which joins what follows."""
    if not _SAYING.search(words) or is_thinking_mark(words):
        return True
    line = part.line
    if line is not None and line.is_bare:
        title, _, below = words.partition("\n")
        is_alone = not below or (line.kind == "title" and poses_problem(title))
        return is_alone and (
            line.kind in ("title", "answer") or (line.kind in ("step", "item") and line.style != "plain")
        )
    return is_opening(words)


def _joins_before(text: str, words: str, part: Part, inside: list[Span], is_headed: bool) -> bool:
    """Whether a part joins the one before: it says nothing, is a formula, continues, or was led to."""
    line, kind = part.line, part.line.kind if part.line else "text"
    if not _SAYING.search(_END_MARK.sub("", words)):
        return _RULE.fullmatch(words) is None
    if is_thinking_mark(words) and words.startswith(("</", "[/")):
        return True
    if _is_led_to(text, part):
        return not (is_headed and kind in ("step", "item", "answer")) or (line is not None and line.style == "1.1.")
    if _is_formula(text, part, inside):
        return True
    if kind == "bullet" and line is not None and part.previous is not None:
        is_group = line.follows_blank and "\n" in words
        return not is_group and (part.previous.kind == "bullet" or part.previous.indent > line.indent)
    return kind == "text" and _CONTINUATION.match(words) is not None


def _is_led_to(text: str, part: Part) -> bool:
    """Whether what comes before the part ends in a colon."""
    return _LEAD_IN_END.search(text, max(part.start - 100, 0), part.start) is not None


def _is_formula(text: str, part: Part, inside: list[Span]) -> bool:
    """Whether nothing but displays, and marks that say nothing, stand in the part."""
    displays = [span for span in inside if is_display(text, span)]
    if not displays:
        return False
    edges = [part.start, *(edge for span in displays for edge in span), part.end]
    rest = "".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    return _SAYING.search(_END_MARK.sub("", rest)) is None


def says_something(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` holds a letter or a digit."""
    return _SAYING.search(text, start, end) is not None
