"""From a gold answer and a completion to a decision by rules, or to two formulas that algebra must compare."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stages.common.verifiers.math.compare.formula_text import convert_degrees, prepare_formula, rename_argument
from stages.common.verifiers.math.compare.normal_form import normalise_answer
from stages.common.verifiers.math.compare.rule_based import compare_by_rules
from stages.common.verifiers.math.extract.final_answer import MAX_ANSWER_CHARS, extract_answer
from stages.common.verifiers.verifier import GUESS, Decision, VerifierInput

_MAX_REMEMBERED = 1 << 14
"""Decisions kept for answers that come again."""

MAX_BARE_CHARS = 200
"""Longest completion, in characters, that is compared with the gold answer as a whole, like "January 5"."""

MAX_FORMULA_CHARS = 600
"""Longest formula, in characters, that algebra compares."""

_OPEN_BOX = re.compile(r"\A[\s$]*\\{1,2}boxed\{")
"""A box that is the gold answer and is never closed: the rest is the answer, since no gold answer is truncated."""


class FormulaPair(NamedTuple):
    """Two formulas that algebra must compare."""

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
    if is_short and normalise_answer(one.completion) == normalise_answer(gold):
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
    if found is not None and found.rule not in ("whole", "last line", "last sentence"):
        return found.text
    return _OPEN_BOX.sub("", gold).strip().removeprefix("**").removesuffix("**")


@lru_cache(maxsize=_MAX_REMEMBERED)
def decide_answer(gold: str, answer: str | None) -> Decision | FormulaPair:
    """Return the decision by rules, or the formulas that algebra must compare."""
    if len(gold) > MAX_ANSWER_CHARS:
        return None, f"gold is longer than {MAX_ANSWER_CHARS} characters"
    if (decision := compare_by_rules(gold, answer or "")) is not None and decision[0] is None:
        return decision
    if answer is None:
        return False, "no answer"
    if decision is not None:
        return decision
    first, second = convert_degrees(normalise_answer(gold), normalise_answer(answer))
    gold_formula, formula = prepare_formula(first), prepare_formula(second)
    if not gold_formula:
        return None, "gold is no formula"
    if not formula:
        return False, "answer is no formula"
    formula = rename_argument(gold_formula, formula)
    if gold_formula == formula:
        return True, "same formula"
    if max(len(gold_formula), len(formula)) > MAX_FORMULA_CHARS:
        return None, f"formula is longer than {MAX_FORMULA_CHARS} characters"
    return FormulaPair(gold_formula, formula)
