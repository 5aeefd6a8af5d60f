"""From a gold answer and a completion to a decision by rules, or to two texts that algebra must compare."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stages.common.gold_answers.no_answers import find_no_answer_reason
from stages.common.verifiers.math.compare import quantities, rules_equations, rules_lists, rules_special  # noqa: F401 - they enter their rules
from stages.common.verifiers.math.compare.answer_text import write_plainly
from stages.common.verifiers.math.compare.answers import read_answers
from stages.common.verifiers.math.compare.comparer import Check, Comparer, NeedsAlgebra, check_cheaply
from stages.common.verifiers.math.compare.damaged_text import find_damage
from stages.common.verifiers.math.compare.resolve import resolve
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.math.extract.final_answer import MAX_ANSWER_CHARS, extract_answer
from stages.common.verifiers.verifier import BY_SHAPE, GUESS, Decision, VerifierInput

_MAX_REMEMBERED = 1 << 14
"""Decisions kept for answers that come again."""

MAX_BARE_CHARS = 200
"""Longest completion, in characters, that is compared with the gold answer as a whole, like "January 5"."""

_OPEN_BOX = re.compile(r"\A[\s$]*\\{1,2}boxed\{")
"""A box that is the gold answer and is never closed: the rest is the answer, since no gold answer is truncated."""


class FormulaPair(NamedTuple):
    """Two plain texts that algebra must compare."""

    gold: str
    answer: str


class PreparedInput(NamedTuple):
    """The gold answer and the answer as read, the rule that found it, and the decision or the formulas to compare."""

    gold: str
    answer: str | None
    extraction_rule: str | None
    decision: Decision | FormulaPair


def prepare_input(one: VerifierInput, accepts_guesses: bool = False) -> PreparedInput:
    """Find the answer in a completion and decide by rules if they can; a guess is unknown unless it is accepted."""
    gold = _read_gold(one.gold)
    answer = extract_answer(one.completion, one.is_truncated)
    is_short = not one.is_truncated and len(one.completion) <= MAX_BARE_CHARS and len(gold) <= MAX_ANSWER_CHARS
    if is_short and write_plainly(one.completion) == write_plainly(gold):
        return PreparedInput(gold, one.completion.strip(), "whole", decide_answer(gold, one.completion))
    if answer is None:
        return PreparedInput(gold, None, None, decide_answer(gold, None))
    if answer.is_guess and not accepts_guesses:
        return PreparedInput(gold, answer.text, answer.rule, GUESS)
    return PreparedInput(gold, answer.text, answer.rule, decide_answer(gold, answer.text))


@lru_cache(maxsize=4096)
def _read_gold(gold: str) -> str:
    """Return the answer in a gold text: what its box or sentence says, or the text if it is no more than an answer."""
    found = extract_answer(gold[: 2 * MAX_ANSWER_CHARS]) if len(gold) <= 2 * MAX_ANSWER_CHARS else None
    is_stated = found is not None and found.rule not in ("whole", "last line", "last sentence")
    if found is not None and is_stated and found.text.count("{") == found.text.count("}"):
        return found.text
    return _OPEN_BOX.sub("", gold).strip().removeprefix("**").removesuffix("**")


@lru_cache(maxsize=_MAX_REMEMBERED)
def decide_answer(gold: str, answer: str | None) -> Decision | FormulaPair:
    """Return the decision by rules, or the texts that algebra must compare."""
    if len(gold) > MAX_ANSWER_CHARS:
        return None, f"gold is longer than {MAX_ANSWER_CHARS} characters"
    first = write_plainly(gold)
    if (reason := find_no_answer_reason(gold)) is not None:
        return None, f"gold: {reason}"
    if answer is None:
        return False, "no answer"
    second = write_plainly(answer)
    decision: Decision | FormulaPair
    try:
        decision = compare_texts(first, second, check_cheaply)
    except NeedsAlgebra:
        decision = FormulaPair(first, second)
    if isinstance(decision, FormulaPair) or decision[0] is False:
        damage = find_damage(gold, answer, first, second)
        return decision if damage is None else (None, damage)
    return decision


def compare_texts(gold: str, answer: str, check: Check) -> Decision:
    """Compare two plain texts: equal if two of their readings are, unequal if no two may be.

    The reason of a False without a contradiction ends with `BY_SHAPE`.
    """
    if not gold or not answer:
        return None, "nothing to compare"
    if gold == answer:
        return True, "same text"
    golds, answers = read_answers(gold), read_answers(answer)
    if not golds or not answers:
        return None, f"{'gold' if not golds else 'answer'} cannot be read"
    pairs = [(resolve(one), resolve(other)) for one in golds for other in answers]
    value, reason = _compare_readings(pairs, Comparer(check))
    if value is False and not _is_contradiction(pairs, check):
        reason += BY_SHAPE
    return value, reason


def _compare_readings(pairs: list[tuple[Node, Node]], by: Comparer) -> Decision:
    decisions = [by.compare(*pair) for pair in pairs]
    return next((one for one in decisions if one[0]), None) or next(
        (one for one in decisions if one[0] is None), decisions[0]
    )


def _is_contradiction(pairs: list[tuple[Node, Node]], check: Check) -> bool:
    """Return whether two answers that are not equal are so by their values, and not only by how they are written."""
    try:
        return _compare_readings(pairs, Comparer(check, ignores_shape=True))[0] is False
    except NeedsAlgebra:
        return True  # no model is asked where it is not known
