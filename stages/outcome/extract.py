r"""Finding the final answer in a solution: a table of rules, most trusted first; the first that finds one decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LONGEST = 2_000
"""Longest answer, in characters: what is longer is not an answer."""

_TAIL = 4_000
"""Characters at the end of a solution in which an answer outside of a box is looked for."""

_SIDE_BY_SIDE = 60
"""Longest text between two boxes that still make one list."""


@dataclass(frozen=True)
class Answer:
    """An answer: its `text`, its span in the solution in code points, and the rule that found it."""

    text: str
    start: int
    end: int
    found_by: str


_BOX_TOKEN = re.compile(
    r"\\(?:boxed|fbox|framebox)\s{0,9}\{|\\boxed\s{1,9}(?P<bare>[^\s{}$\\]{1,100})\s?\$|\\[\s\S]|[{}]"
)
_BETWEEN = re.compile(r"\\(?:q?quad|text\w{0,6}|mbox|[()\[\],;: ])|[\s$,;&{}()\[\]]")
_JOINED = re.compile(r"[^.\n=]{0,20}\b(?:and|or)\b(?!\s+(?:then|so|thus|hence|therefore))[^.\n]{0,12}")

_SENTENCE = re.compile(r"\banswer(?:\s{1,9}is\b|\s{0,9}:|\s{1,9}=)", re.IGNORECASE)
_HASHES = re.compile(r"^####[ \t]{0,9}(?P<answer>[^\n]{1,600})$", re.MULTILINE)
_BOLD = re.compile(r"(?:\*\*|__)(?P<answer>[^*\n]{1,300})(?:\*\*|__)[ \t.]{0,9}\Z")
_FORMULA = re.compile(
    r"(?<!\\)\$\$[^$]{1,600}\$\$|(?<!\\)\$(?:\\\$|[^$\n]){1,600}?(?<!\\)\$|\\\([^\n]{1,600}?\\\)|\\\[[\s\S]{1,600}?\\\]"
)
_NUMBER = re.compile(
    r"(?<![\w.,^_{])[-+]?\\?[$€£]?(?:\d[\d,]{0,40}(?:\.\d{1,40})?|\.\d{1,40})(?:/\d{1,20})?(?:\s?\\?%)?"
)
_COMMAND = re.compile(
    r"\\(?:begin|end|text|mbox|mathrm|textbf|textit|textnormal|operatorname)\s?\{[^{}]{0,300}\}|\\[a-zA-Z]{1,30}"
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_JOINING = frozenset({"and", "or"})
_DIGIT = re.compile(r"[0-9]")
_SAYING = re.compile(r"[^\W_]")
_HOPE = re.compile(r"\s*(?:<\|\w+\|>|I hope (?:it|this) is correct)")
_LAST_SENTENCE = re.compile(r"[.!?$]\s+(?=[A-Z])")
_SENTENCE_END = re.compile(r"\.(?=\s+[A-Z])|\.?\s*\Z|\.?\s{1,9}I hope\b")


def _boxes(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Complete boxes, of nested ones the innermost: start, start and end of the content, end. Linear time."""
    first = text.find("\\boxed") if "\\boxed" in text else 0
    if "\\fbox" in text or "\\framebox" in text:
        first = 0
    elif "\\boxed" not in text:
        return
    opened: list[tuple[int, int] | None] = []
    last = -1
    for token in _BOX_TOKEN.finditer(text, first):
        if token["bare"] is not None:
            yield token.start(), *token.span("bare"), token.end("bare")
            continue
        mark = token.group()
        if mark == "{":
            opened.append(None)
        elif mark == "}":
            box = opened.pop() if opened else None
            if box is not None and last < box[0]:
                last = box[0]
                yield box[0], box[1], token.start(), token.end()
        elif len(mark) > 2:
            opened.append(token.span())


def _boxed(text: str) -> Answer | None:
    """The last complete box that holds something, with those side by side before it as a list."""
    boxes = [box for box in _boxes(text) if not text[box[1] : box[2]].isspace() and box[1] < box[2]]
    if not boxes:
        return None
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if not _side_by_side(text[box[3] : group[0][0]]):
            break
        group.insert(0, box)
    if group[-1][2] - group[0][1] > LONGEST:
        return None
    contents = [text[start:end].strip() for _, start, end, _ in group]
    return Answer(", ".join(dict.fromkeys(contents)), group[0][1], group[-1][2], "box")


def _side_by_side(between: str) -> bool:
    if len(between) > _SIDE_BY_SIDE:
        return False
    plain = _BETWEEN.sub(" ", between).strip()
    return plain in ("", "and", "or") or _JOINED.fullmatch(plain) is not None


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
    """Words of `text` outside of commands and formulas, without "and" and "or"."""
    plain = _COMMAND.sub(" ", _FORMULA.sub(" ", text))
    return [word for word in _WORD.findall(plain) if word.lower() not in _JOINING]


def _matched(pattern: re.Pattern[str]) -> Callable[[str], tuple[int, int] | None]:
    def find(tail: str) -> tuple[int, int] | None:
        match = None
        for found in pattern.finditer(tail):
            match = found
        return None if match is None else match.span("answer")

    return find


def _whole(tail: str) -> tuple[int, int] | None:
    """All of a text that is no more than an answer: a formula, or up to three words."""
    if "\n\n" in tail or len(tail) >= _TAIL:
        return None
    return _answer_alone(tail, 0, len(tail))


def _last_line(tail: str) -> tuple[int, int] | None:
    """The last line, if it is no more than an answer."""
    start = tail.rfind("\n") + 1
    if start == 0 and len(tail) >= _TAIL:
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
"""The rules after ``box``, which comes first and is the only one that holds for a solution cut by length."""

RULE_NAMES = ("box", *(rule.name for rule in RULES))


def extract_answer(solution: str, cut: bool = False) -> Answer | None:
    r"""The final answer stated in `solution`, None where there is none.

    The last complete ``\boxed``, ``\fbox`` (of nested ones the innermost, side by side ones as a list) comes first,
    then ``#### 72``, the sentence "the answer is", ``**72**`` at the end, a text or last line that is no more than an
    answer, and the last formula or number of the last sentence. `cut` says that the solution was cut by its length:
    only a complete box counts then. An answer longer than `LONGEST` is none. Time is linear in the length of the text.
    """
    answer = _boxed(solution)
    if answer is not None or cut or "\\boxed" in solution[-_TAIL:]:
        return answer
    stripped = solution.rstrip()
    offset = max(len(stripped) - _TAIL, 0)
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
