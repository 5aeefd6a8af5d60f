r"""Finds the final answer in a completion: its last statement of one, else its last line or sentence."""

import re

from stages.common.gold_answers.boxes import find_boxes, find_last_boxes
from stages.common.verifiers.math.extract.completion_end import (
    TAIL_CHARS,
    find_answer_region,
    find_next_task,
    strip_remarks,
)
from stages.common.verifiers.math.extract.equation_sides import FoundAnswer
from stages.common.verifiers.math.extract.last_sentence import find_last_line, find_last_sentence, find_whole
from stages.common.verifiers.math.extract.statements import find_statements, read_statement
from stages.common.verifiers.verifier import ExtractedAnswer

MAX_ANSWER_CHARS = 2_000
"""Longest answer, in characters; longer texts are no answers. It bounds the work of all rules that compare."""

RULE_NAMES = ("box", "hashes", "tag", "sentence", "whole", "last line", "last sentence")
"""Names of all rules."""

_BOX_COMMAND = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-z])")
_STATED_IN_BOX = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mbox)\s?\{\s*)?(?:the |my )?(?:final |correct )?answer(?: is|:| =)?:?\s*\}?\s*(?=\S)",
    re.IGNORECASE,
)


def extract_answer(completion: str, is_truncated: bool = False) -> ExtractedAnswer | None:
    r"""Return the final answer stated in `completion`, None if there is none.

    Thinking, what follows a token that ends a turn, and closing remarks are no part of it. The last statement wins: a
    complete ``\boxed`` or ``\fbox`` (of nested ones the innermost, side by side ones as a list), ``#### 72``,
    ``<answer>72</answer>``, or a sentence such as "the answer is 72". If the last is a box that is empty or never
    closed, there is no answer. Without a statement, a text or last line that is only an answer counts, then the value
    that the last sentence states. With `is_truncated` only a box counts. A value is taken whole; one of several that
    the sentence does not tell apart is a guess. An answer longer than `MAX_ANSWER_CHARS` is none. Time is linear in
    the length of the text.
    """
    start, end = find_answer_region(completion)
    tail = end if is_truncated else max(start, end - TAIL_CHARS)  # where statements are searched
    next_task = find_next_task(completion, start, end)
    if next_task < end and (find_boxes(completion[start:next_task]) or find_statements(completion, tail, next_task)):
        end = next_task
    text = completion[:end]
    box_start = _find_last_box_command(text, start)
    box = _read_boxes(text, start, box_start) if box_start >= 0 else None
    if is_truncated:
        return box
    if box is not None:
        tail = max(tail, box.end)
    elif box_start >= 0:  # what follows on its line may belong to it
        tail = max(tail, text.find("\n", box_start) + 1 or end)
    statements = find_statements(text, tail, end)
    if box_start < 0 or statements:
        end = strip_remarks(text, start, end)
    for statement in reversed(statements):
        found = read_statement(text, statement, end)
        if found is not None and (box_start < 0 or found.is_value):
            return _make_answer(text, found, statement.rule)
    if box_start >= 0:
        return box
    for rule, find in (("whole", find_whole), ("last line", find_last_line), ("last sentence", find_last_sentence)):
        found = find(text, start, end)
        if found is not None and (answer := _make_answer(text, found, rule)):
            return answer
    return None


def _find_last_box_command(text: str, start: int) -> int:
    """Return where the last box begins, -1 if there is none."""
    position = max(text.rfind(name, start) for name in ("\\boxed", "\\fbox", "\\framebox"))
    return position if position >= 0 and _BOX_COMMAND.match(text, position) else -1


def _read_boxes(text: str, start: int, last: int) -> ExtractedAnswer | None:
    """Return what the last box holds, with those side by side before it; None if it is empty or never closed."""
    region = text[start:]
    spans = find_last_boxes(region)
    if not spans or start + spans[-1][0] < last or spans[-1][1] - spans[0][0] > MAX_ANSWER_CHARS:
        return None
    contents = [_strip_statement(region[one:other].strip()) for one, other in spans]
    return ExtractedAnswer(", ".join(dict.fromkeys(contents)), start + spans[0][0], start + spans[-1][1], "box")


def _strip_statement(content: str) -> str:
    r"""Return what a box holds without "The answer is" before it."""
    match = _STATED_IN_BOX.match(content)
    if match is None:
        return content
    rest = content[match.end() :]
    opened = match.group().count("{") - match.group().count("}")
    return rest.removesuffix("}").strip() if opened > 0 else rest


def _make_answer(text: str, found: FoundAnswer, rule: str) -> ExtractedAnswer | None:
    """Return the answer without white space, emphasis, colon and full stop around; None if nothing is left."""
    start, end = found.start, found.end
    while start < end and (text[start].isspace() or text[start] in "*:：_"):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in "*.。_"):
        end -= 1
    if not 0 < end - start <= MAX_ANSWER_CHARS:
        return None
    return ExtractedAnswer(found.text or text[start:end], start, end, rule, found.is_guess)
