r"""Finding the final answer in a solution: boxes first, then a table of rules; the first that finds one decides."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stages.outcome.boxes import last_boxes
from stages.outcome.rules import RULES, TAIL

LONGEST = 2_000
"""Longest answer, in characters: what is longer is not an answer."""


@dataclass(frozen=True)
class Answer:
    """An answer: its `text`, its span in the solution in code points, and the rule that found it."""

    text: str
    start: int
    end: int
    found_by: str


_FINAL = re.compile(
    r"\bfinal answer is:?\s{0,9}(?P<answer>[^\n]{1,600}?)\.?\s{0,9}I hope (?:it|this) is correct", re.IGNORECASE
)

RULE_NAMES = ("declared", "box", *(rule.name for rule in RULES))
"""Names of all rules, in the order in which they are asked."""


def _boxed(text: str) -> Answer | None:
    """The last complete box that holds something, with those side by side before it as a list."""
    spans = last_boxes(text)
    if not spans or spans[-1][1] - spans[0][0] > LONGEST:
        return None
    contents = [text[start:end].strip() for start, end in spans]
    return Answer(", ".join(dict.fromkeys(contents)), spans[0][0], spans[-1][1], "box")


def _declared(solution: str, after: int) -> Answer | None:
    """What "The final answer is ... I hope it is correct." says behind `after`, where the last box ends."""
    offset = max(after, len(solution) - TAIL)
    match = _FINAL.search(solution, offset)
    span = _trimmed(solution, *match.span("answer")) if match else None
    return None if span is None else Answer(solution[span[0] : span[1]], *span, "declared")


def extract_answer(solution: str, cut: bool = False) -> Answer | None:
    r"""The final answer stated in `solution`, None where there is none.

    The last complete ``\boxed``, ``\fbox`` (of nested ones the innermost, side by side ones as a list) comes first,
    unless "The final answer is ... I hope it is correct." follows it; then ``#### 72``, the sentence "the answer is",
    ``**72**`` at the end, a text or last line that is no more than an answer, and the last formula or number of the
    last sentence. `cut` says that the solution was cut by its length:
    only a complete box counts then. An answer longer than `LONGEST` is none. Time is linear in the length of the text.
    """
    answer = _boxed(solution)
    if answer is not None and not cut and "I hope" in solution[-TAIL:]:
        answer = _declared(solution, answer.end) or answer
    if answer is not None or cut or "\\boxed" in solution[-TAIL:]:
        return answer
    stripped = solution.rstrip()
    offset = max(len(stripped) - TAIL, 0)
    tail = stripped[offset:]
    for rule in RULES:
        span = rule.find(tail)
        if span is not None and (found := _trimmed(tail, *span)) is not None:
            start, end = found
            return Answer(tail[start:end], offset + start, offset + end, rule.name)
    return None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space, emphasis, colon and full stop around; None if nothing is left."""
    while start < end and (text[start].isspace() or text[start] in "*:"):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in "*."):
        end -= 1
    return (start, end) if 0 < end - start <= LONGEST else None
