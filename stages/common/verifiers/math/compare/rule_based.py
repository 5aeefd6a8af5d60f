"""Decisions without algebra: most pairs are equal as text, or are two numbers, words or choices."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.common.verifiers.math.compare.exact_numbers import ExactNumber, is_rounding, parse_number
from stages.common.verifiers.math.compare.normal_form import normalise_answer, remove_invisible
from stages.common.verifiers.math.compare.quantities import compare_compound, get_unit_factor, split_unit
from stages.common.verifiers.math.compare.special_forms import compare_based, compare_clock_times, compare_ratios
from stages.common.verifiers.math.compare.word_answers import (
    canonicalize_words,
    compare_choices,
    compare_words,
    get_option_text,
)
from stages.common.verifiers.verifier import Decision

_NO_ANSWER_IN_GOLD = re.compile(
    r"(?:proof|proved|proven|see (?:the )?(?:solution|proof|above|below)|not ?found|n/?a|qed"
    r"|\\(?:black)?square|(?:the )?proof is complete[d]?|)\.?",
    re.IGNORECASE,
)
_BRACKETED = {
    "set": re.compile(r"\\\{[^{}|:]*,(?:[^{}|:]|\{[^{}]*\})*\\\}"),
    "point": re.compile(r"\([^()\[\]]*,[^()\[\]]*\)"),
}
_MAX_NESTED_OPTIONS = 8
_LETTER = re.compile(r" [a-zA-Z]$")
_CLOSE = Fraction(1, 100_000)
"""Algebra compares unequal numbers that are closer than this if one is a decimal, which may be rounded."""


def compare_by_rules(gold: str, answer: str) -> Decision | None:
    r"""Return the decision on two answers, None where algebra must decide.

    - Equal as normalised text: True.
    - Numbers: exact. A number with a percent sign equals the number alone with or without the division by 100
      (28% = 0.28 = 28); algebra compares decimals that are near.
    - A unit or currency on one side only is ignored; two different ones must convert into each other.
    - Words (even, east, Evelyn): equal or not; case is ignored. Choices: (B), B and \text{B} are one.
    - Times of day: the same digits, and am or pm as written, or on one side only.
    - Ratios: reduced. Numbers with a base: the same digits and base, or no base on one side.
    """
    left, right = normalise_answer(gold), normalise_answer(answer)
    if _NO_ANSWER_IN_GOLD.fullmatch(left):
        return None, "gold is not an answer"
    if left == right or remove_invisible(left) == remove_invisible(right):
        return True, "same text"
    return _compare_texts(canonicalize_words(left), canonicalize_words(right))


def _compare_texts(left: str, right: str, depth: int = 0) -> Decision | None:
    if left == right:
        return True, "words"
    for rule in (
        _compare_brackets,
        compare_choices,
        _compare_numbers,
        compare_words,
        compare_clock_times,
        compare_based,
        compare_ratios,
        compare_compound,
        _compare_quantities,
    ):
        decision = rule(left, right)
        if decision is not None:
            return decision
    return _compare_options(left, right, depth)


def _compare_brackets(left: str, right: str) -> Decision | None:
    """A set is not a point or an interval; a list without brackets may be either."""
    kinds = {kind for text in (left, right) for kind, form in _BRACKETED.items() if form.fullmatch(text)}
    return (False, "a set beside a point") if len(kinds) == 2 else None


def _compare_options(left: str, right: str, depth: int) -> Decision | None:
    """Compare the texts where a choice has one and the other answer is the text alone."""
    gold, answer = get_option_text(left), get_option_text(right)
    if gold is None and answer is None:
        return None
    if depth == _MAX_NESTED_OPTIONS:
        return None, "nested too deeply"
    return _compare_texts(gold or left, answer or right, depth + 1)


def _compare_numbers(left: str, right: str) -> Decision | None:
    first, second = parse_number(left), parse_number(right)
    if first is not None and second is not None:
        return _compare_values(first, second)
    comma, point = (left, right) if "," in left else (right, left)
    if re.fullmatch(r"-?\d+,\d+", comma) and "." in point and comma.replace(",", ".") == point:
        return True, "decimal comma"
    return None


def _compare_quantities(left: str, right: str) -> Decision | None:
    """Compare two numbers of which at least one has a unit."""
    (gold, gold_unit), (answer, answer_unit) = split_unit(left), split_unit(right)
    first, second = parse_number(gold), parse_number(answer)
    if gold_unit and answer_unit and gold_unit != answer_unit:
        factor = get_unit_factor(gold_unit, answer_unit)
        if factor is None or first is None or second is None:
            return False, f"units differ: {gold_unit} and {answer_unit}"
        return first.value * factor == second.value, f"{gold_unit} in {answer_unit}"
    if first is None or second is None:
        return None
    if (gold_unit and second.percent) or (answer_unit and first.percent):
        return False, "a unit beside a percentage"
    if None in (gold_unit, answer_unit) and any(_LETTER.search(text) for text in (left, right)):
        return None  # 5 m is a length beside another length, and a product beside a number
    return _compare_values(first, second)


def _compare_values(gold: ExactNumber, answer: ExactNumber) -> Decision | None:
    values = [answer.value]
    if gold.percent != answer.percent:
        values.append(answer.value * 100 if gold.percent else answer.value / 100)
    if gold.value in values:
        return True, "exact numbers"
    if is_rounding(gold, answer) or is_rounding(answer, gold):
        return True, "rounded"
    rounded = gold.is_decimal or answer.is_decimal
    near = _CLOSE * max(Fraction(1), abs(gold.value))
    if rounded and any(abs(gold.value - value) < near for value in values):
        return None
    return False, "exact numbers"
