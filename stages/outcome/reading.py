"""What is left to compare of a gold text and a solution once both are read: mostly nothing."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stages.outcome.extract import LONGEST, extract_answer
from stages.outcome.fast import decide_fast
from stages.outcome.latex import for_algebra, same_angle
from stages.outcome.normal import normalise
from stages.outcome.variables import same_argument
from stages.outcome.words import Decision

_REMEMBERED = 1 << 14
"""Decisions kept for answers that come again."""

LONGEST_BARE = 200
"""Longest solution, in characters, that may be the gold text itself, like "January 5"."""

LONGEST_FORMULA = 600
"""Longest formula, in characters, that algebra is asked about."""

_OPEN_BOX = re.compile(r"\A[\s$]*\\{1,2}boxed\{")
"""A box that is the gold text and is never closed: the rest is the answer, since no gold is cut by its length."""


class Entry(NamedTuple):
    """A gold text and a solution; `cut` says that the solution was cut by its length."""

    gold: str
    solution: str
    cut: bool = False


class Pair(NamedTuple):
    """Two formulas that algebra must compare."""

    gold: str
    answer: str


class Reading(NamedTuple):
    """`gold` and `answer` as understood, the rule that found the answer, and the decision or what decides."""

    gold: str
    answer: str | None
    found_by: str | None
    decided: Decision | Pair


def read(entry: Entry) -> Reading:
    """Find the answer of an entry, and the decision where none but algebra is needed."""
    gold = _understood(entry.gold)
    answer = extract_answer(entry.solution, entry.cut)
    if not entry.cut and len(entry.solution) <= LONGEST_BARE and normalise(entry.solution) == normalise(gold):
        return Reading(gold, entry.solution.strip(), "whole", _decide(gold, entry.solution))
    if answer is None:
        return Reading(gold, None, None, _decide(gold, None))
    return Reading(gold, answer.text, answer.found_by, _decide(gold, answer.text))


@lru_cache(maxsize=4096)
def _understood(gold: str) -> str:
    """The answer in a gold text: what its box or sentence says, itself where it says no more than an answer."""
    found = extract_answer(gold[: 2 * LONGEST]) if len(gold) <= 2 * LONGEST else None
    if found is not None and found.found_by not in ("whole", "last line", "last sentence"):
        return found.text
    return _OPEN_BOX.sub("", gold).strip()


@lru_cache(maxsize=_REMEMBERED)
def _decide(gold: str, answer: str | None) -> Decision | Pair:
    """The verdict, or the formulas of which algebra must give it."""
    if len(gold) > LONGEST:
        return None, f"gold is longer than {LONGEST} characters"
    if (known := decide_fast(gold, answer or "")) is not None and known[0] is None:
        return known
    if answer is None:
        return False, "no answer"
    if known is not None:
        return known
    first, second = same_angle(normalise(gold), normalise(answer))
    gold_formula, formula = for_algebra(first), for_algebra(second)
    if not gold_formula:
        return None, "gold is no formula"
    if not formula:
        return False, "answer is no formula"
    formula = same_argument(gold_formula, formula)
    if gold_formula == formula:
        return True, "same formula"
    if max(len(gold_formula), len(formula)) > LONGEST_FORMULA:
        return None, f"formula is longer than {LONGEST_FORMULA} characters"
    return Pair(gold_formula, formula)
