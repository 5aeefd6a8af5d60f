"""Verdicts that need no algebra: most pairs are equal as text, or are two numbers, words or letters."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.outcome.compound import compare_compound
from stages.outcome.exact import Exact, read_number, rounds_to
from stages.outcome.forms import compare_based, compare_clock_times, compare_ratios
from stages.outcome.normal import normalise, squeezed
from stages.outcome.units import conversion, split_unit
from stages.outcome.words import Decision, canonical_words, compare_choices, compare_words, option_text

_NO_ANSWER_IN_GOLD = re.compile(
    r"(?:proof|proved|proven|see (?:the )?(?:solution|proof|above|below)|not ?found|n/?a|qed"
    r"|\\(?:black)?square|(?:the )?proof is complete[d]?|)\.?",
    re.IGNORECASE,
)
_BRACKETED = {
    "set": re.compile(r"\\\{[^{}|:]*,(?:[^{}|:]|\{[^{}]*\})*\\\}"),
    "point": re.compile(r"\([^()\[\]]*,[^()\[\]]*\)"),
}
_LETTER = re.compile(r" [a-zA-Z]$")
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
    - Ratios: reduced. Numbers with a base: the same digits and base, or no base on one side.
    """
    left, right = normalise(gold), normalise(answer)
    if _NO_ANSWER_IN_GOLD.fullmatch(left):
        return None, "gold is not an answer"
    if left == right or squeezed(left) == squeezed(right):
        return True, "same text"
    return _decide(canonical_words(left), canonical_words(right))


def _decide(left: str, right: str) -> Decision | None:
    if left == right:
        return True, "words"
    for rule in (
        _brackets,
        compare_choices,
        _numbers,
        compare_words,
        compare_clock_times,
        compare_based,
        compare_ratios,
        compare_compound,
        _units,
    ):
        decision = rule(left, right)
        if decision is not None:
            return decision
    return _options(left, right)


def _brackets(left: str, right: str) -> Decision | None:
    """A set is no point and no interval; lists without brackets may be either."""
    kinds = {kind for text in (left, right) for kind, form in _BRACKETED.items() if form.fullmatch(text)}
    return (False, "a set beside a point") if len(kinds) == 2 else None


def _options(left: str, right: str) -> Decision | None:
    """A choice with its text beside the text alone: the text decides."""
    gold, answer = option_text(left), option_text(right)
    if gold is None and answer is None:
        return None
    return _decide(gold or left, answer or right)


def _numbers(left: str, right: str) -> Decision | None:
    first, second = read_number(left), read_number(right)
    if first is not None and second is not None:
        return _equal(first, second)
    comma, point = (left, right) if "," in left else (right, left)
    if re.fullmatch(r"-?\d+,\d+", comma) and "." in point and comma.replace(",", ".") == point:
        return True, "decimal comma"
    return None


def _units(left: str, right: str) -> Decision | None:
    """Two numbers of which at least one has a unit."""
    (gold, gold_unit), (answer, answer_unit) = split_unit(left), split_unit(right)
    first, second = read_number(gold), read_number(answer)
    if gold_unit and answer_unit and gold_unit != answer_unit:
        factor = conversion(gold_unit, answer_unit)
        if factor is None or first is None or second is None:
            return False, f"units differ: {gold_unit} and {answer_unit}"
        return first.value * factor == second.value, f"{gold_unit} in {answer_unit}"
    if first is None or second is None:
        return None
    if (gold_unit and second.percent) or (answer_unit and first.percent):
        return False, "a unit beside a percentage"
    if None in (gold_unit, answer_unit) and any(_LETTER.search(text) for text in (left, right)):
        return None  # 5 m is a length beside another length, and a product beside a number
    return _equal(first, second)


def _equal(gold: Exact, answer: Exact) -> Decision | None:
    values = [answer.value]
    if gold.percent != answer.percent:
        values.append(answer.value * 100 if gold.percent else answer.value / 100)
    if gold.value in values:
        return True, "exact numbers"
    if rounds_to(gold, answer) or rounds_to(answer, gold):
        return True, "rounded"
    rounded = gold.decimal or answer.decimal
    near = _CLOSE * max(Fraction(1), abs(gold.value))
    if rounded and any(abs(gold.value - value) < near for value in values):
        return None
    return False, "exact numbers"
