"""Where steps may begin by the author's layout: headings, paragraphs, lines. docs/steps.md is the rule."""

import re
from collections.abc import Iterator
from itertools import pairwise

from stages.split.line_kinds import Line, classify, concludes, names_part
from stages.split.protect import Span

_NEXT_LINE = re.compile(r"\n(?=[^\n])")


def list_lines(text: str, spans: list[Span]) -> list[Line]:
    """The lines of `text` that are not blank and begin outside of every one of `spans`; linear time."""
    starts = list(_free_starts(text, spans))
    follows = [_follows_blank(text, start) for start in starts]
    ends = [*starts, len(text)][1:]
    return [classify(text, *line) for line in zip(starts, ends, follows, strict=True)]


def _free_starts(text: str, spans: list[Span]) -> Iterator[int]:
    waiting = iter(spans)
    start, end = next(waiting, (len(text), len(text)))
    for line in _line_starts(text):
        while end <= line and start < len(text):
            start, end = next(waiting, (len(text), len(text)))
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


def _follows_blank(text: str, line: int) -> bool:
    """Whether nothing, or a blank line, comes before the line that begins at `line`."""
    previous = text.rfind("\n", 0, max(line - 1, 0)) + 1
    return line == 0 or not text[previous:line].strip()


def start_headed(text: str, lines: list[Line], headings: set[int], splits_paragraphs: bool) -> Iterator[Line]:
    """The `lines` at which steps begin by headings and paragraphs.

    What comes below a heading belongs to its step up to the next heading, a title of another part, or the line that
    states the final answer; `splits_paragraphs`: or the next paragraph. The last item of a list ends where a paragraph
    begins that concludes, or that is not indented as the paragraphs below other items are.
    """
    last_in_part = _find_last_in_parts(lines, headings)
    boxed = _find_boxed_paragraphs(text, lines)
    paragraphs = [line for line in lines if line.follows_blank or line.start in headings]
    before_lists = {line.start for line, after in pairwise(paragraphs) if after.number in (0, 1)}
    last_paragraph = paragraphs[-1].start if paragraphs else 0
    owner: Line | None = None
    has_content = has_paragraphs_at_margin = False
    for line in lines:
        is_start = line.start in headings
        if is_start:
            owner, has_content = line, line.style == "plain" or not (line.is_bare or line.is_marked)
        elif line.kind == "title":
            is_start = owner is None or _ends_part(text, line, owner)
        elif owner is None:
            is_start = line.follows_blank or (line.kind == "answer" and line.start >= last_paragraph)
        elif owner.start not in last_in_part:
            has_paragraphs_at_margin |= line.follows_blank and line.indent <= owner.indent
            is_start = splits_paragraphs and line.follows_blank
        elif line.kind == "answer" or (line.start in boxed and concludes(text, line)):
            is_start = has_content
        elif line.follows_blank and owner.kind == "item":
            is_at_margin = line.indent <= owner.indent and line.kind != "bullet" and not has_paragraphs_at_margin
            is_start = is_at_margin or concludes(text, line) or splits_paragraphs or line.start in before_lists
        else:
            is_start = splits_paragraphs and line.follows_blank
        if is_start and line.start not in headings:
            owner = None
        has_content = has_content or not is_start
        if is_start:
            yield line


def _find_boxed_paragraphs(text: str, lines: list[Line]) -> set[int]:
    """Starts of the paragraphs that state a boxed answer, also in the formula that they lead to."""
    paragraphs = [line.start for line in lines if line.follows_blank]
    edges = [*paragraphs, len(text), len(text)]
    found = set()
    for index, start in enumerate(paragraphs):
        leads = text[max(edges[index + 1] - 9, 0) : edges[index + 1]].rstrip().endswith((":", "：", ","))
        if text.find("\\boxed", start, edges[index + 2 if leads else index + 1]) >= 0:
            found.add(start)
    return found


def _ends_part(text: str, title: Line, owner: Line) -> bool:
    if owner.kind == "item":
        return title.indent <= owner.indent + 1
    return title.follows_blank or names_part(text, title)


def _find_last_in_parts(lines: list[Line], headings: set[int]) -> set[int]:
    """Starts of the headings after which none follows, or one that counts from the beginning again."""
    heads = [line for line in lines if line.start in headings]
    last = {heads[-1].start} if heads else set()
    for before, after in pairwise(heads):
        restarts = after.style == before.style and None not in (after.number, before.number)
        if after.is_first or (restarts and after.number < before.number):  # type: ignore[operator]
            last.add(before.start)
    return last
