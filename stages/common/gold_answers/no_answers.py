r"""Gold answers that are none: placeholders, remarks about a proof, and the answers of several questions in one.

The placeholders are in ``no_answers.json``. The `source` of each is a row of the real data that the tests use
(``file:row``), or ``shape:`` and the collection for whose golds it was written, where no row at hand holds it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

NO_RESULT = "answer is no result"
SEVERAL_PARTS = "answer has several parts"

_WRAPPER = re.compile(r"\\(?:text|textbf|mathbf|mathrm|boldsymbol|boxed|textit|bf|rm)\b\s*\{?|\\[ ,;:!]|[${}*_]")
_MARKS = re.compile(
    r"(?:\\(?:checkmark|[Bb]ox|(?:black)?square|[Dd]iamond|(?:big)?star|ast|bullet|[clhv]?dots|cdot|times|surd|q?quad|hfill"
    r"|underline|[hv]space\s?[^\s\\]{0,9}|phantom)(?![A-Za-z])|\\(?![A-Za-z])|[✓✔✗✘×★☆•·*#/!?.…\s-])+"
)
"""Ticks, dots and blanks, of which no combination is a value."""

_REFERENCE = re.compile(
    r"(?:see|refer to) (?:the )?(?:solution|proof|explanation|above|below|answer|figure|diagram)\b.*"
)
_SERIES = tuple(
    re.compile(
        rf"(?:(?:\A|[\s;,.])\({first}\)|\A{first}\))\s*(?P<answer>[^;]{{0,100}}?\w[^;]{{0,100}}?)[\s;,.]+\(?{second}\)\s*\S"
    )
    for first, second in (("1", "2"), ("a", "b"), ("i", "ii"), ("I", "II"), ("A", "B"), ("Ⅰ", "Ⅱ"), ("1°", "2°"))
)
_MAX_CHARS = 600
"""Characters that are searched for parts."""

_CIRCLED = re.compile(r"①\s*[^\s①-⑳,;、]+\s*[,;、]?\s*②\s*[^\s①-⑳]")


def find_no_answer_reason(answer: str) -> str | None:
    """Return why `answer` cannot be a gold answer, None if it can.

    ``\\text{Solution complete}``, ``\\checkmark`` and ``null`` say nothing; ``(1) 3 (2) 5`` answers two questions.
    Words that answer some question, such as "no solution", are answers.
    """
    plain = " ".join(_WRAPPER.sub(" ", answer).split())
    phrase = plain.casefold().strip(" .!")
    if not phrase or phrase in _read_phrases() or plain in _read_phrases():
        return NO_RESULT
    if _MARKS.fullmatch(plain) or _REFERENCE.fullmatch(phrase):
        return NO_RESULT
    plain = plain[:_MAX_CHARS]
    if any(series.search(plain) for series in _SERIES) or _CIRCLED.search(plain):
        return SEVERAL_PARTS
    return None


@cache
def _read_phrases() -> frozenset[str]:
    rows = json.loads((Path(__file__).parent / "no_answers.json").read_text(encoding="utf-8"))
    return frozenset(row["text"].casefold().strip(" .!") or row["text"] for row in rows)
