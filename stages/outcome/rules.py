"""Rules that find an answer outside of a box, in the end of a solution; the most trusted comes first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

TAIL = 4_000
"""Characters at the end of a solution in which an answer outside of a box is looked for."""

_SENTENCE = re.compile(
    r"\b(?:answer|(?:correct|right) (?:option|choice))(?:\s{1,9}is\b|\s{0,9}:|\s{1,9}=)", re.IGNORECASE
)
_HASHES = re.compile(r"^####[ \t]{0,9}(?P<answer>[^\n]{1,600})$", re.MULTILINE)
_BOLD = re.compile(r"(?:\*\*|__)(?P<answer>[^*\n]{1,300})(?:\*\*|__)[ \t.]{0,9}\Z")
_FORMULA = re.compile(
    r"(?<!\\)\$\$[^$]{1,600}\$\$|(?<!\\)\$(?:\\\$|[^$\n]){1,600}?(?<!\\)\$|\\\([^\n]{1,600}?\\\)|\\\[[\s\S]{1,600}?\\\]"
)
_NUMBER = re.compile(
    r"(?<![\w.,^_{])[-+]?\\?[$€£]?(?:\d[\d,]{0,40}(?:\.\d{1,40})?|\.\d{1,40})(?:/\d{1,20})?(?:\s?\\?%)?"
)
_COMMAND = re.compile(
    r"\\begin\{array\}\{[lcr|]{0,20}\}|\\(?:begin|end|text|mbox|mathrm|textbf|textit|textnormal|operatorname)\s?\{[^{}]{0,300}\}|\\[a-zA-Z]{1,30}"
)
_WORD = re.compile(r"(?<![A-Za-z\d^_])[A-Za-z]{2,}(?![A-Za-z\d^_(\[{])")
_NOT_PROSE = re.compile(r"and|or|a?(?:rc)?(?:sin|cos|tan)h?|cot|sec|csc|sqrt|ln|log|exp|pi|theta|infinity|inf")
_OPTION = re.compile(r"\s*\(?[A-J](?:\)|[.:])\s[^\n]{1,200}")
_DIGIT = re.compile(r"[0-9]")
_SAYING = re.compile(r"[^\W_]")
_HOPE = re.compile(r"\s*(?:<\|\w+\|>|I hope (?:it|this) is correct)")
_LAST_SENTENCE = re.compile(r"[.!?$]\s+(?=[A-Z])")
_SENTENCE_END = re.compile(r"\.(?=\s+[A-Z])|\.?\s*\Z|\.?\s{1,9}I hope\b")


def _sentence(tail: str) -> tuple[int, int] | None:
    """What "the answer is" says, to the end of the sentence; only its last formula or number if words lead up to it."""
    match = None
    for found in _SENTENCE.finditer(tail):
        match = found
    if match is None:
        return None
    start = match.end()
    line_end = tail.find("\n", start)
    end = start + _end_of_sentence(tail[start : line_end if line_end >= 0 else len(tail)])
    if _answer_alone(tail, start, end):
        return start, end
    return _last_value(tail, start, end) or (start, end)


def _end_of_sentence(text: str) -> int:
    match = _SENTENCE_END.search(text)
    return match.start() if match else len(text)


def _last_formulas(text: str, formulas: list[tuple[int, int]]) -> tuple[int, int]:
    """Span of the last formula, with those joined to it by "and", "or" or a comma."""
    start, end = formulas[-1]
    for before, after in reversed(formulas[:-1]):
        if text[after:start].strip(" ,;") not in ("", "and", "or"):
            break
        start = before
    return start, end


def _words(text: str) -> list[str]:
    """Words of `text` outside of commands and formulas, without "and", "or" and the names of functions."""
    plain = _COMMAND.sub(" ", _FORMULA.sub(" ", text))
    return [word for word in _WORD.findall(plain) if not _NOT_PROSE.fullmatch(word.lower())]


def _matched(pattern: re.Pattern[str]) -> Callable[[str], tuple[int, int] | None]:
    def find(tail: str) -> tuple[int, int] | None:
        match = None
        for found in pattern.finditer(tail):
            match = found
        return None if match is None else match.span("answer")

    return find


def _whole(tail: str) -> tuple[int, int] | None:
    """All of a text that is no more than an answer: a formula, up to three words, or an option with its text."""
    if _OPTION.fullmatch(tail):
        return 0, len(tail)
    if "\n\n" in tail or len(tail) >= TAIL:
        return None
    return _answer_alone(tail, 0, len(tail))


def _last_line(tail: str) -> tuple[int, int] | None:
    """The last line, if it is no more than an answer."""
    start = tail.rfind("\n") + 1
    if start == 0 and len(tail) >= TAIL:
        return None  # the line begins before the tail
    return _answer_alone(tail, start, len(tail)) if _SAYING.search(tail, start) else None


def _answer_alone(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span, if it holds no more than an answer: at most three words, and none before a formula or number."""
    part = text[start:end]
    first = min((found.start() for found in (_FORMULA.search(part), _DIGIT.search(part)) if found), default=0)
    return (start, end) if len(_words(part)) <= 3 and not _words(part[:first]) else None


def _last_sentence(tail: str) -> tuple[int, int] | None:
    """The last formula of the last sentence, or its last number; or the display that ends the solution."""
    hope = _HOPE.search(tail)
    end = hope.start() if hope else len(tail)
    display = None
    for found in _FORMULA.finditer(tail, 0, end):
        display = found
    if display is not None and not tail[display.end() : end].strip(" .\n"):
        return display.span()
    start = tail.rfind("\n", 0, end) + 1
    for found in _LAST_SENTENCE.finditer(tail, start, end):
        start = found.end()
    return _last_value(tail, start, end)


def _last_value(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The last formula between `start` and `end` if a number stands in it, else the last number, else the formula."""
    formulas = [found.span() for found in _FORMULA.finditer(text, start, end)]
    numbers = [found.span() for found in _NUMBER.finditer(text, start, end)]
    if formulas and (not numbers or numbers[-1][0] < formulas[-1][1]):
        return _last_formulas(text, formulas)
    return numbers[-1] if numbers else None


@dataclass(frozen=True)
class Rule:
    """A rule of extraction: `find` gives the span of the answer in the end of a solution."""

    name: str
    find: Callable[[str], tuple[int, int] | None]


RULES = (
    Rule("hashes", _matched(_HASHES)),
    Rule("sentence", _sentence),
    Rule("bold", _matched(_BOLD)),
    Rule("whole", _whole),
    Rule("last line", _last_line),
    Rule("last sentence", _last_sentence),
)
"""The rules after ``declared`` and ``box``; ``box`` is the only one that holds for a solution cut by length."""
