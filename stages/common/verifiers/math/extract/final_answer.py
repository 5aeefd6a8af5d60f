r"""Finds the final answer in a completion: boxes first, then a table of rules; the first that finds one decides."""

from __future__ import annotations

import re

from stages.common.gold_answers.boxes import find_last_boxes
from stages.common.verifiers.math.extract.answer_rules import EXTRACTION_RULES, TAIL_CHARS
from stages.common.verifiers.verifier import ExtractedAnswer

MAX_ANSWER_CHARS = 2_000
"""Longest answer, in characters; longer texts are no answers. It bounds the work of all rules that compare."""


_FINAL = re.compile(
    r"\bfinal answer is:?\s{0,9}(?P<answer>[^\n]{1,600}?)\.?\s{0,9}I hope (?:it|this) is correct", re.IGNORECASE
)

RULE_NAMES = ("declared", "box", *(rule.name for rule in EXTRACTION_RULES))
"""Names of all rules, in order."""


def _find_boxed(text: str) -> ExtractedAnswer | None:
    """Return the last complete box that is not empty, with those side by side before it as a list."""
    spans = find_last_boxes(text)
    if not spans or spans[-1][1] - spans[0][0] > MAX_ANSWER_CHARS:
        return None
    contents = [text[start:end].strip() for start, end in spans]
    return ExtractedAnswer(", ".join(dict.fromkeys(contents)), spans[0][0], spans[-1][1], "box")


def _find_declared(completion: str, after: int) -> ExtractedAnswer | None:
    """Find "The final answer is ... I hope it is correct." behind `after`, where the last box ends."""
    offset = max(after, len(completion) - TAIL_CHARS)
    match = _FINAL.search(completion, offset)
    span = _trim_span(completion, *match.span("answer")) if match else None
    return None if span is None else ExtractedAnswer(completion[span[0] : span[1]], *span, "declared")


def extract_answer(completion: str, is_truncated: bool = False) -> ExtractedAnswer | None:
    r"""Return the final answer stated in `completion`, None if there is none.

    The last complete ``\boxed`` or ``\fbox`` (of nested ones the innermost, side by side ones as a list) comes first,
    unless "The final answer is ... I hope it is correct." follows it; then ``#### 72``, the sentence "the answer is",
    ``**72**`` at the end, a text or last line that is only an answer, and the last formula or number of the last
    sentence. With `is_truncated` only a complete box counts. An answer longer than `MAX_ANSWER_CHARS` is none. Time is
    linear in the length of the text.
    """
    answer = _find_boxed(completion)
    if answer is not None and not is_truncated and "I hope" in completion[-TAIL_CHARS:]:
        answer = _find_declared(completion, answer.end) or answer
    if answer is not None or is_truncated or "\\boxed" in completion[-TAIL_CHARS:]:
        return answer
    stripped = completion.rstrip()
    offset = max(len(stripped) - TAIL_CHARS, 0)
    tail = stripped[offset:]
    for rule in EXTRACTION_RULES:
        span = rule.find(tail)
        if span is not None and (found := _trim_span(tail, *span)) is not None:
            start, end = found
            return ExtractedAnswer(tail[start:end], offset + start, offset + end, rule.name)
    return None


def _trim_span(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the span without white space, emphasis, colon and full stop around; None if nothing is left."""
    while start < end and (text[start].isspace() or text[start] in "*:"):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in "*."):
        end -= 1
    return (start, end) if 0 < end - start <= MAX_ANSWER_CHARS else None
