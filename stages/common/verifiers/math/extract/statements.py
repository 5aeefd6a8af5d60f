"""Sentences, lines and tags in which a completion states its answer in so many words."""

import re
from typing import NamedTuple

from stages.common.verifiers.math.extract.equation_sides import FoundAnswer
from stages.common.verifiers.math.extract.last_sentence import find_formulas, find_sentence_end, read_sentence

_IS = r"(?:is|was|are|=|equals|would be|will be|should be|must be|comes out to(?: be)?|to be|becomes)"
_OF_WHAT = r"(?: (?:to|for|of) (?:the|this|that|our|your|each|part)?[^.:\n=]{0,60}?)?"
_STATEMENT = re.compile(
    rf"(?:\b(?:answers?|(?:correct|right|best) (?:option|choice))\*{{0,2}}{_OF_WHAT}\s{{0,9}}"
    rf"(?::|(?<!\w){_IS}(?![\w-])\*{{0,2}})"
    r"|(?:答案|答案应该|结果|正确选项)\s?(?:是|为|等于|應為|应为|選|选)"
    r"|(?:选择?|選擇?)(?=[：: ]{0,2}\(?[A-H])|(?:答案|答|解答)\s?[:：]"
    r"|\bответ\b(?:ы|ом)?(?: задачи)?\s?[:.—–-]|\b(?:la )?(?:respuesta|réponse|resposta)(?: finale?)?(?: est?| é|\s?:)"
    r"|\b(?:die )?(?:antwort|lösung)(?: (?:ist|lautet)|\s?:))",
    re.IGNORECASE,
)
_NO_STATEMENT = re.compile(
    r"[\s:*]*(?:not\b|(?:in)?correct\b|wrong\b|right\b|clear|obvious|below|above|as follows|given\b|shown|expressed"
    r"|found|obtained|unique\b|reasonable|simple|valid\b|consistent|the same|written|rounded|required|already|supposed"
    r"|expected to)",
    re.IGNORECASE,
)
_HASHES = re.compile(
    r"^[ \t]{0,3}####[ \t]{0,9}(?P<answer>(?![A-Za-z*]+(?: [A-Za-z*]+)*:?\s*$)[^\n]{1,600})$", re.MULTILINE
)
_TAG = re.compile(r"<(?P<tag>answer|final_answer|final)>(?P<answer>[\s\S]{1,2000}?)(?:</(?P=tag)>|\Z)", re.IGNORECASE)
_JSON = re.compile(r"[\"'](?:final_)?answer[\"']\s?:\s?(?P<answer>\"(?:[^\"\\]|\\.){1,600}\"|[-\d.,/]{1,60})")
_SPACE = re.compile(r"[\s*_:：>]*(?:\\?\"(?=[^\"\n]*\"))?")
_CHECK = re.compile(r"\b(?:check\w*|verif\w+|confirm\w*)(?: (?:of|that|our|the|this|my)){0,3} \Z", re.IGNORECASE)
"""What stands before "answer" where none is stated."""

_HEADING = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}|\*\*|__)[ \t]{0,9}(?:final |the )?(?:answer|result)[ \t]{0,9}:?[*_]{0,2}:?[ \t]{0,9}\n+",
    re.I | re.M,
)


_PATTERNS = (
    ("hashes", _HASHES, "####"),
    ("tag", _TAG, "<answer> <final"),
    ("tag", _JSON, "answer\" answer'"),
    ("sentence", _STATEMENT, "answer option choice 答 选 選 结果 ответ respuesta réponse resposta antwort lösung"),
    ("sentence", _HEADING, "answer result"),
)
"""The rule of each pattern, and texts of which every match has one: where none stands no pattern is tried."""


class Statement(NamedTuple):
    """A statement: where it begins, the span of its answer, and its rule: hashes, tag or sentence (no end)."""

    start: int
    answer_start: int
    answer_end: int
    rule: str


def find_statements(text: str, start: int, end: int) -> list[Statement]:
    """Return the statements in ``text[start:end]`` in order."""
    region = text[start:end].casefold()
    found: list[Statement] = []
    for rule, pattern, literals in _PATTERNS:
        if not any(literal in region for literal in literals.split()):
            continue
        for one in pattern.finditer(text, start, end):
            if rule != "sentence":
                found.append(Statement(one.start(), *one.span("answer"), rule))
            elif not _NO_STATEMENT.match(text, one.end(), end) and not _CHECK.search(
                text, max(start, one.start() - 40), one.start()
            ):
                found.append(Statement(one.start(), one.end(), end, rule))
    return sorted(found)


def read_statement(text: str, statement: Statement, end: int) -> FoundAnswer | None:
    """Return the answer of a statement in ``text[:end]``, None if it names none."""
    _, start, last, rule = statement
    if rule != "sentence":
        if text[start:last].startswith('"'):
            start, last = start + 1, last - 1
        return FoundAnswer(start, last) if text[start:last].strip() else None
    space = _SPACE.match(text, start, end)
    start = start if space is None else space.end()
    if start >= end:
        return None
    return read_sentence(text, start, find_sentence_end(text, start, end, find_formulas(text, start, end)))
