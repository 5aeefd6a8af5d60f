"""Where the steps of a solution begin and end: spans only, so that the steps joined are the sample itself."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, cast

import polars as pl

from stages.common.params.split import SplitParams
from stages.common.tables import STEP
from stages.common.thinking import split_thinking
from stages.split.protect import Span, protected_spans

Shape = Literal["headings", "paragraphs", "lines"]

_HEADING = re.compile(
    r"[ \t]*(?:"
    r"(?:#{1,6}[ \t]*(?:\*\*|__)?|\*\*|__)step[ \t]{1,9}\d{1,4}(?!\w)"  # marked: "## Step 1", "**Step 1:**"
    r"|step[ \t]{1,9}\d{1,4}[ \t]?(?::|\)|\.(?!\d)|[-–—][ \t])"  # plain: "Step 1:", not "Step 1 is easy"
    r")",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*|__)?(?:the (?:final )?answer is|final answer)\b|[ \t]*####[ \t]*[^\sA-Za-z#]",
    re.IGNORECASE,
)
_NEXT_LINE = re.compile(r"\n(?=[^\n])")
_SAYING = re.compile(r"[^\W_]")
"""A letter or a digit: without one, a step says nothing."""


def split_text(text: str, params: SplitParams) -> list[Span]:
    r"""Spans (start, end) of the steps of `text`, in code points: contiguous, from 0 to its length, none for no text.

    Steps begin at line beginnings outside of mathematics and code (stages.split.protect). By shape:

    - ``headings``: at "Step n:" headings, and after the last of them at lines that begin with "The answer is",
      "Final answer" or "####" and a number; what comes before the first heading is a step of its own;
    - ``paragraphs``: after blank lines;
    - ``lines``: at every line.

    Separators belong to the step before them. A part without letter or digit (white space, a rule of dashes) makes no
    step: it is joined to the step before, at the beginning to the one after. Thinking is divided on its own, by a shape
    of its own, or a whole step (`SplitParams.thinking`). Time is linear in the length of `text`.
    """
    return _divide(text, params)[1]


def _divide(text: str, params: SplitParams) -> tuple[Shape, list[Span]]:
    """The shape by which `text`, or its part after the thinking, is divided, and its steps."""
    thinking = split_thinking(text)
    separator = len(thinking.rest) - len(thinking.rest.lstrip()) if thinking.start else 0
    answer = (thinking.start + separator, thinking.end)
    if answer == (0, len(text)) or params.max_steps == 1:
        return _divide_part(text, params.shape, params.max_steps)
    edges = {0, *answer, len(text)}
    if _SAYING.search(text, *answer) is None:
        edges -= {answer[0]} if thinking.start else {answer[1]}
    parts = list(pairwise(sorted(edges | {0, len(text)})))
    while len(parts) > params.max_steps:
        parts = [*parts[:-2], (parts[-2][0], len(text))]
    num_spare = params.max_steps - len(parts)
    divided: dict[Span, list[Span]] = {}
    shape: Shape = "lines"
    for part in sorted(parts, key=lambda each: each != answer):  # what the answer leaves is the thinking's
        is_whole = part != answer and params.thinking == "whole"
        found, spans = _divide_part(text[slice(*part)], params.shape, 1 if is_whole else 1 + num_spare)
        shape = shape if divided else found
        num_spare -= len(spans) - 1
        divided[part] = [(part[0] + start, part[0] + end) for start, end in spans]
    return shape, sorted(span for spans in divided.values() for span in spans)


def _divide_part(text: str, shape_param: str, max_steps: int) -> tuple[Shape, list[Span]]:
    lines = list(_free_lines(text))
    shape: Shape
    if shape_param != "auto":
        shape = cast("Shape", shape_param)
        starts = _starts(text, lines, shape)
    elif starts := _starts(text, lines, "headings"):
        shape = "headings"
    elif len(starts := _starts(text, lines, "paragraphs")) > 1:
        shape = "paragraphs"
    else:
        shape, starts = "lines", lines
    return shape, _spans(text, starts, max_steps)


def _free_lines(text: str) -> Iterator[int]:
    """Where the lines begin that are not blank and begin outside of every protected span."""
    spans = iter(protected_spans(text))
    start, end = next(spans, (len(text), len(text)))
    for line in _line_starts(text):
        while end <= line and start < len(text):
            start, end = next(spans, (len(text), len(text)))
        if not start < line < end and not _is_blank(text, line):
            yield line


def _line_starts(text: str) -> Iterator[int]:
    if text and text[0] != "\n":
        yield 0
    for match in _NEXT_LINE.finditer(text):
        yield match.end()


def _is_blank(text: str, line: int) -> bool:
    end = text.find("\n", line)
    return text[line : end if end >= 0 else len(text)].isspace()


def _starts(text: str, lines: list[int], shape: Shape) -> list[int]:
    """Those of the `lines` at which a step begins by `shape`; none where a headed text has no heading."""
    if shape == "lines":
        return lines
    if shape == "paragraphs":
        return [line for line in lines if _follows_blank(text, line)]
    headings = [line for line in lines if _HEADING.match(text, line)]
    if not headings:
        return []
    closings = [line for line in lines if line > headings[-1] and _CLOSING.match(text, line)]
    return headings + closings


def _follows_blank(text: str, line: int) -> bool:
    """Whether nothing, or a blank line, comes before the line that begins at `line`."""
    previous = text.rfind("\n", 0, max(line - 1, 0)) + 1
    return line == 0 or not text[previous:line].strip()


def _spans(text: str, starts: list[int], most: int) -> list[Span]:
    """Spans that begin at `starts` and cover `text`, at most `most`, none without a letter or digit if it can be."""
    if not text:
        return []
    edges = sorted({0, *starts, len(text)})
    cuts = [0]
    for start, end in pairwise(edges):
        says_something = _SAYING.search(text, start, end) is not None
        if start and says_something and _SAYING.search(text, cuts[-1], start):
            cuts.append(start)
    cuts = cuts[:most]
    return list(zip(cuts, [*cuts[1:], len(text)], strict=True))


def split_samples(samples: pl.DataFrame, params: SplitParams, shapes: Counter[str] | None = None) -> pl.DataFrame:
    """STEP rows of `samples` (SAMPLE columns); how many samples had which shape is added to `shapes`."""
    rows = []
    for sample, problem, text in samples.select("sample_id", "problem_id", "completion").iter_rows():
        shape, spans = _divide(text, params)
        rows += [(sample, problem, step, start, end) for step, (start, end) in enumerate(spans)]
        if shapes is not None:
            shapes[shape if spans else "empty"] += 1
    return pl.DataFrame(rows, schema=STEP.schema, orient="row")
