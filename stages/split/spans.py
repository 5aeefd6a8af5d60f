"""Where the steps of a solution begin and end: spans only, so that the steps joined are the sample itself."""

from collections.abc import Callable
from itertools import chain, pairwise
from typing import Literal, NamedTuple, cast

from stages.common.params.split import SplitParams
from stages.common.thinking import split_thinking
from stages.split.fragments import Part, merge_parts, says_something
from stages.split.headings import find_headings, is_divided_by_lines
from stages.split.layouts import list_lines, start_headed
from stages.split.line_kinds import Line
from stages.split.protect import Span, protected_spans
from stages.split.sentences import start_sentences

Shape = Literal["headings", "paragraphs", "lines", "sentences", "model", "whole", "empty"]

Divide = Callable[[str], "Division"]
"""Divides a text without thinking, or the thinking alone, into any number of steps."""


class Division(NamedTuple):
    """The steps of one text."""

    shape: Shape
    """What divides it, or its part after the thinking."""
    spans: list[Span]
    """(start, end) in code points: contiguous, from 0 to the text's length; none for no text."""
    is_limited: bool = False
    """Whether there were more than `max_steps`, so that neighbours were joined."""


def split_text(text: str, params: SplitParams) -> list[Span]:
    """Spans (start, end) of the steps of `text`, in code points, by the rules of docs/steps.md.

    They are contiguous, from 0 to the length of `text`, and none begins in mathematics, code or a table
    (stages.split.protect). White space belongs to the step before it. Time is linear in the length of `text`.
    """
    return divide_text(text, params).spans


def divide_text(text: str, params: SplitParams, divide: Divide | None = None) -> Division:
    """The steps of `text`; `divide` takes the place of the rules by which a part of it is divided.

    Thinking and answer are divided apart, and of `max_steps` the answer's come first.
    """
    divide = divide or (lambda part: divide_by_layout(part, params))
    thinking = split_thinking(text)
    separator = len(thinking.rest) - len(thinking.rest.lstrip()) if thinking.start else 0
    answer = (thinking.start + separator, thinking.end)
    edges = {0, *answer, len(text)}
    if not says_something(text, *answer):
        edges -= {answer[0]} if thinking.start else {answer[1]}
    parts = list(pairwise(sorted(edges | {0, len(text)})))
    while len(parts) > params.max_steps:
        parts = [*parts[:-2], (parts[-2][0], len(text))]
    num_spare = params.max_steps - len(parts)
    spans: list[Span] = []
    shape: Shape = "empty"
    is_limited = False
    for part in sorted(parts, key=lambda each: each != answer):  # what the answer leaves is the thinking's
        is_whole = part != answer and params.thinking == "whole"
        found, own, _ = Division("whole", [(0, part[1] - part[0])]) if is_whole else divide(text[slice(*part)])
        shape = found if shape == "empty" else shape
        kept = limit_steps(own, 1 + num_spare)
        is_limited = is_limited or len(kept) < len(own)
        num_spare -= len(kept) - 1
        spans += [(part[0] + start, part[0] + end) for start, end in kept]
    return Division(shape if spans else "empty", sorted(spans), is_limited)


def divide_by_layout(text: str, params: SplitParams) -> Division:
    """The steps of a text without thinking by its layout, or by the one that `params` name; see docs/steps.md."""
    if not text:
        return Division("empty", [])
    protected = protected_spans(text)
    lines = list_lines(text, protected)
    headings = find_headings(text, lines) if params.shape in ("auto", "headings", "model") else set()
    splits_paragraphs = params.paragraphs_after_heading == "split"

    def divide(shape: Shape) -> Division:
        starts: list[Line] = lines
        if shape == "sentences":
            edges = sorted({*start_sentences(text, protected), len(text)})
            return Division(shape, merge_parts(text, [Part(*each) for each in pairwise(edges)], protected))
        if shape != "lines":
            starts = list(start_headed(text, lines, headings, splits_paragraphs))
        return Division(shape, merge_parts(text, _cut(text, lines, starts), protected))

    if params.shape not in ("auto", "model"):  # the rules stand in for a model without a usable reply
        return divide(cast("Shape", params.shape))
    shapes: list[Shape] = ["headings"] if headings else [] if is_divided_by_lines(lines) else ["paragraphs"]
    first = divide((*shapes, "lines")[0])
    if lines and lines[0].kind == "step" and lines[0].start in headings:
        return first  # one heading that begins the text owns all of it
    others = map(divide, (*shapes, "lines", "sentences")[1:])
    return next((division for division in chain([first], others) if len(division.spans) > 1), first)


def list_beginnings(text: str) -> list[int]:
    """Where a step of a text without thinking may begin at all: lines and sentences outside of what is protected.

    Sorted, 0 among them; empty for no text.
    """
    protected = protected_spans(text)
    starts = {0, *(line.start for line in list_lines(text, protected)), *start_sentences(text, protected)}
    return sorted(start for start in starts if start < len(text))


def _cut(text: str, lines: list[Line], starts: list[Line]) -> list[Part]:
    """The parts of `text` that begin at `starts`; what comes before the first belongs to it."""
    previous = dict(zip((line.start for line in lines[1:]), lines[:-1], strict=True))
    if not starts:
        return [Part(0, len(text))]
    edges = [*(line.start for line in starts[1:]), len(text)]
    return [
        Part(line.start if index else 0, end, line, previous.get(line.start))
        for index, (line, end) in enumerate(zip(starts, edges, strict=True))
    ]


def limit_steps(spans: list[Span], max_steps: int) -> list[Span]:
    """At most `max_steps` spans: neighbours are joined evenly by their number, and the last span stays on its own."""
    if len(spans) <= max_steps:
        return spans
    last = spans[-1:] if max_steps > 1 else []
    rest, num_groups = spans[: len(spans) - len(last)], max_steps - len(last)
    edges = [index * len(rest) // num_groups for index in range(num_groups + 1)]
    return [(rest[first][0], rest[end - 1][1]) for first, end in pairwise(edges)] + last
