"""Rules that find an answer without a box at the end of a completion, the most reliable first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

TAIL_CHARS = 4_000
"""Characters at the end of a completion that the rules search."""

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
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_HOPE = re.compile(r"\s*(?:<\|\w+\|>|I hope (?:it|this) is correct)")
_LAST_SENTENCE = re.compile(r"[.!?$]\s+(?=[A-Z])")
_SENTENCE_END = re.compile(r"\.(?=\s+[A-Z])|\.?\s*\Z|\.?\s{1,9}I hope\b")


def _find_sentence(tail: str) -> tuple[int, int] | None:
    """Find what follows "the answer is" up to the end of the sentence, or its last formula or number after words."""
    match = None
    for found in _SENTENCE.finditer(tail):
        match = found
    if match is None:
        return None
    start = match.end()
    line_end = tail.find("\n", start)
    end = start + _find_sentence_end(tail[start : line_end if line_end >= 0 else len(tail)])
    if _find_answer_alone(tail, start, end):
        return start, end
    return _find_last_value(tail, start, end) or (start, end)


def _find_sentence_end(text: str) -> int:
    match = _SENTENCE_END.search(text)
    return match.start() if match else len(text)


def _join_last_formulas(text: str, formulas: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the span of the last formula and of those joined to it by "and", "or" or a comma."""
    start, end = formulas[-1]
    for before, after in reversed(formulas[:-1]):
        if text[after:start].strip(" ,;") not in ("", "and", "or"):
            break
        start = before
    return start, end


def _find_words(text: str) -> list[str]:
    """Return the words of `text` outside of commands and formulas, without "and", "or" and names of functions."""
    plain = _COMMAND.sub(" ", _FORMULA.sub(" ", text))
    return [word for word in _WORD.findall(plain) if not _NOT_PROSE.fullmatch(word.lower())]


def _match_last(pattern: re.Pattern[str]) -> Callable[[str], tuple[int, int] | None]:
    def find(tail: str) -> tuple[int, int] | None:
        match = None
        for found in pattern.finditer(tail):
            match = found
        return None if match is None else match.span("answer")

    return find


def _find_whole(tail: str) -> tuple[int, int] | None:
    """Find a text that is only an answer: a formula, up to three words, or an option with its text."""
    if _OPTION.fullmatch(tail):
        return 0, len(tail)
    if "\n\n" in tail or len(tail) >= TAIL_CHARS:
        return None
    return _find_answer_alone(tail, 0, len(tail))


def _find_last_line(tail: str) -> tuple[int, int] | None:
    """Find the last line if it is only an answer."""
    start = tail.rfind("\n") + 1
    if start == 0 and len(tail) >= TAIL_CHARS:
        return None  # the line begins before the tail
    return _find_answer_alone(tail, start, len(tail)) if _LETTER_OR_DIGIT.search(tail, start) else None


def _find_answer_alone(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the span if it holds only an answer: at most three words, and none before a formula or number."""
    part = text[start:end]
    first = min((found.start() for found in (_FORMULA.search(part), _DIGIT.search(part)) if found), default=0)
    return (start, end) if len(_find_words(part)) <= 3 and not _find_words(part[:first]) else None


def _find_last_sentence(tail: str) -> tuple[int, int] | None:
    """Find the displayed formula that ends the completion, or the last formula or number of the last sentence."""
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
    return _find_last_value(tail, start, end)


def _find_last_value(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Find the last formula between `start` and `end` if no number follows it, else the last number."""
    formulas = [found.span() for found in _FORMULA.finditer(text, start, end)]
    numbers = [found.span() for found in _NUMBER.finditer(text, start, end)]
    if formulas and (not numbers or numbers[-1][0] < formulas[-1][1]):
        return _join_last_formulas(text, formulas)
    return numbers[-1] if numbers else None


@dataclass(frozen=True)
class ExtractionRule:
    """A rule: `find` returns the span of the answer in the end of a completion, None if there is none."""

    name: str
    find: Callable[[str], tuple[int, int] | None]


EXTRACTION_RULES = (
    ExtractionRule("hashes", _match_last(_HASHES)),
    ExtractionRule("sentence", _find_sentence),
    ExtractionRule("bold", _match_last(_BOLD)),
    ExtractionRule("whole", _find_whole),
    ExtractionRule("last line", _find_last_line),
    ExtractionRule("last sentence", _find_last_sentence),
)
"""The rules after ``declared`` and ``box``; a truncated completion has an answer only in a box."""
