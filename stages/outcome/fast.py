"""Verdicts that need no algebra: most pairs are equal as text, or are two numbers, words or letters."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.outcome.exact import Exact, read_number
from stages.outcome.normal import normalise

Decision = tuple[bool | None, str]
"""Value and reason of a verdict."""

_NO_ANSWER_IN_GOLD = re.compile(
    r"(?:proof|proved|proven|see (?:the )?(?:solution|proof|above|below)|not ?found|n/?a|qed"
    r"|\\(?:black)?square|(?:the )?proof is complete[d]?|)\.?",
    re.IGNORECASE,
)
_TRUTH_WORDS = frozenset({"yes", "no", "true", "false", "even", "odd", "none", "infinite", "undefined"})
_PHRASE = re.compile(r"(?:[A-Za-z]{2,}|a)(?:[ '-][A-Za-z]+){0,12}")
_CHOICE = re.compile(r"\(?(?:\\text\{)?\(?([A-H])\)?\}?\)?")
_CHOICE_WITH_TEXT = re.compile(r"\(?(?:\\text\{)?\(?([A-H])(?:[).:]\}?|\}).*")
_BASED = re.compile(r"(\d+)_\{?(?:\\text\{)?(\d+|[a-z]+)\}?\}?")
_UNIT = re.compile(r"(.*[\d})%])(?: ?\\text\{ ?([^{}]{1,40})\}| ([a-zA-Z][a-zA-Z /.]{0,30}))(?:\^\{?([23])\}?)?")
_LETTER = re.compile(r" [a-zA-Z]$")
_LONG_WORDS = re.compile(r"[A-Za-z]{4,}(?: [A-Za-z]{4,})*")
"""Words too long to be a product of variables."""

_UNIT_NAMES = {
    name: unit
    for unit, names in {
        "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre",
        "km": "km kilometer kilometre", "inch": "in inch inche", "foot": "ft foot feet", "mile": "mi mile",
        "gram": "g gram", "kg": "kg kilogram", "second": "s sec second", "minute": "min minute", "hour": "h hr hour",
        "day": "day", "week": "week", "year": "yr year", "dollar": "dollar usd", "cent": "cent",
        "degree": "degree", "radian": "rad radian",
    }.items()
    for name in names.split()
}  # fmt: skip
_CLOCK = re.compile(r"(\d{1,2}:\d{2}) ?(?:\\text\{)?([a-z. ]{0,6})\}?", re.IGNORECASE)
_CLOSE = Fraction(1, 100_000)
"""Unequal numbers closer than this are left to algebra where one is a decimal, which may be rounded."""


def decide_fast(gold: str, answer: str) -> Decision | None:
    r"""The verdict on two answers as given, None where algebra must decide.

    - Equal as normalised text: True.
    - Numbers: exact. A percent sign on one side only is met by the number with or without the division by 100
      (28% = 0.28 = 28); a decimal that is near is left to algebra, which knows about rounding.
    - A unit or currency on one side only is passed over; different ones of the same kind of answer are wrong.
    - Words (even, east, Evelyn): equal or not, whatever their case. Choices: (B), B and \text{B} are one.
    - Times of day: the same digits, and am or pm as written, or on one side only.
    - Numbers with a base: the same digits and base, or no base on one side.
    """
    left, right = normalise(gold), normalise(answer)
    if _NO_ANSWER_IN_GOLD.fullmatch(left):
        return None, "gold is not an answer"
    if left == right:
        return True, "same text"
    for rule in (_choices, _words, _numbers, _clock_times, _based):
        decision = rule(left, right)
        if decision is not None:
            return decision
    return None


def _choices(left: str, right: str) -> Decision | None:
    gold = _CHOICE.fullmatch(left)
    if gold is None:
        return None
    answer = _CHOICE.fullmatch(right) or _CHOICE_WITH_TEXT.fullmatch(right)
    return None if answer is None else (gold[1] == answer[1], "choices")


def _words(left: str, right: str) -> Decision | None:
    first, second = _plain_words(left), _plain_words(right)
    if first == second and _PHRASE.fullmatch(first):
        return True, "words"
    phrases = bool(_PHRASE.fullmatch(first) and _PHRASE.fullmatch(second))
    # Short words may be products of variables: ab is ba.
    if first in _TRUTH_WORDS or (phrases and (second in _TRUTH_WORDS or max(len(first), len(second)) > 3)):
        return False, "words"
    if second in _TRUTH_WORDS and read_number(left):
        return False, "words"
    return None


def _plain_words(text: str) -> str:
    return re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip().casefold().removesuffix(".")


def _numbers(left: str, right: str) -> Decision | None:
    first, second = read_number(left), read_number(right)
    if first is not None and second is not None:
        return _equal(first, second)
    comma, point = (left, right) if "," in left else (right, left)
    if re.fullmatch(r"-?\d+,\d+", comma) and "." in point and comma.replace(",", ".") == point:
        return True, "decimal comma"
    gold, gold_unit = _without_unit(left)
    answer, answer_unit = _without_unit(right)
    first, second = read_number(gold), read_number(answer)
    if first is None or second is None:
        return None
    if gold_unit and answer_unit and gold_unit != answer_unit:
        return False, f"units differ: {gold_unit} and {answer_unit}"
    if None in (gold_unit, answer_unit) and any(_LETTER.search(text) for text in (left, right)):
        return None  # 5 m is a length beside another length, and a product beside a number
    return _equal(first, second)


def _equal(gold: Exact, answer: Exact) -> Decision | None:
    values = [answer.value]
    if gold.percent != answer.percent:
        values.append(answer.value * 100 if gold.percent else answer.value / 100)
    if gold.value in values:
        return True, "exact numbers"
    rounded = gold.decimal or answer.decimal
    near = _CLOSE * max(Fraction(1), abs(gold.value))
    if rounded and any(abs(gold.value - value) < near for value in values):
        return None
    return False, "exact numbers"


def _without_unit(text: str) -> tuple[str, str | None]:
    """A number and the unit after or before it; "" for one that the table does not know, None for no unit."""
    if text.startswith((r"\$", "$", "€", "£")):
        return text, "dollar" if "$" in text[:2] else ""
    if text.endswith(r"^\circ"):
        return text.removesuffix(r"^\circ"), "degree"
    match = _UNIT.fullmatch(text)
    if match is None:
        return text, None
    name = (match[2] or match[3]).strip().strip(".").lower()
    if name in ("percent", "percentage", "pct"):
        return match[1] + "%", None
    unit = _UNIT_NAMES.get(name) or _UNIT_NAMES.get(name.removesuffix("s"))
    if unit is None:
        return (text, None) if match[3] and not _LONG_WORDS.fullmatch(match[3]) else (match[1], "")
    return match[1], unit + (match[4] or "")


def _clock_times(left: str, right: str) -> Decision | None:
    gold, answer = _CLOCK.fullmatch(left), _CLOCK.fullmatch(right)
    if gold is None or answer is None:
        return None
    halves = {re.sub(r"[. ]", "", match[2]).lower() for match in (gold, answer)} - {""}
    return gold[1] == answer[1] and len(halves) < 2, "times of day"


def _based(left: str, right: str) -> Decision | None:
    first, second = _BASED.fullmatch(left), _BASED.fullmatch(right)
    if first is not None and second is not None:
        return first.groups() == second.groups(), "numbers with a base"
    return None
