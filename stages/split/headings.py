"""Which lines head steps: "Step n" headings, or numbered items that carry the solution."""

import re
from collections import Counter
from itertools import pairwise

from stages.split.line_kinds import Line

_LEAD_IN_END = re.compile(r"[:：][ \t\r\n*_]{0,9}\Z")
_FORMULA = re.compile(r"\$[^$\n]*\$|\\\([^\n]*?\\\)|\\\[[\s\S]*?\\\]")
_WORD = re.compile(r"[^\W\d_]{2,}")


def find_headings(text: str, lines: list[Line]) -> set[int]:
    """Starts of the lines that head steps: "Step n" headings, or else numbered items; empty where none does.

    One heading alone carries only a text without blank lines; several do if they begin it, count from the beginning, or
    have at most one paragraph before them.
    """
    steps = [index for index, line in enumerate(lines) if line.kind == "step" and line.style != "open"]
    open_steps = [index for index, line in enumerate(lines) if line.kind == "step" and line.style == "open"]
    steps = sorted([*steps, *open_steps]) if len(open_steps) > 1 else steps  # one alone is a cut completion's last line
    if len(steps) > 1 or (steps and is_divided_by_lines(lines)):
        first = steps[0]
        num_before = sum(line.follows_blank for line in lines[:first])
        if lines[first].is_first or num_before <= 1:
            return {lines[index].start for index in steps}
    return _find_items(text, lines)


def _find_items(text: str, lines: list[Line]) -> set[int]:
    """Starts of the items of the numbered lists of one style and indentation that has most of them, and their parts."""
    runs: dict[tuple[str, int], list[list[Line]]] = {}
    for line in lines:
        if line.kind == "item" and line.number is not None:
            lists = runs.setdefault((line.style, line.indent // 2), [])
            last = lists[-1][-1].number if lists else None
            if last is not None and last <= line.number <= last + 2:
                lists[-1].append(line)
            elif line.number in (0, 1):
                lists.append([line])
    before = {line.start: previous.start for previous, line in pairwise(lines)}
    within = [run for lists in runs.values() for run in lists if _is_within_paragraph(text, run, before)]
    if sum(run[-1].end - run[0].start for run in within) > len(text) / 5:
        within = [run for run in within if _lists_formulas(text, run)]
    left_out = {run[0].start for run in within}
    kept = {
        key: [line.start for run in lists if len(run) > 1 and run[0].start not in left_out for line in run]
        for key, lists in runs.items()
    }
    counts = Counter({key: len(starts) for key, starts in kept.items() if key[0] != "1.1."})
    if not counts or not counts.total():
        return set()
    parts = [start for key, starts in kept.items() if key[0] == "1.1." for start in starts]
    return {*kept[counts.most_common(1)[0][0]], *parts}


def _is_within_paragraph(text: str, run: list[Line], before: dict[int, int]) -> bool:
    """Whether a numbered list follows its lead-in without a blank line: it is then like an unordered one, if short."""
    first = run[0]
    leads = not first.follows_blank and first.style != "1.1."
    return leads and _LEAD_IN_END.search(text, before[first.start], first.start) is not None


def _lists_formulas(text: str, run: list[Line]) -> bool:
    words = sum(len(_WORD.findall(_FORMULA.sub("", text[line.start : line.end]))) for line in run)
    return words < 4 * len(run)


def is_divided_by_lines(lines: list[Line]) -> bool:
    """Whether no blank line comes before any line but the first and one that states the answer."""
    return not any(line.follows_blank and line.kind != "answer" for line in lines[1:])
