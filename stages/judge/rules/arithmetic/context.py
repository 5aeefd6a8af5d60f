"""Text around an equality that does not state it as a fact, or that gives its signs another meaning."""

import re

from stages.judge.rules.arithmetic.tokens import Token
from stages.judge.rules.arithmetic.word_lists import make_word_set

CLAUSE_TOKENS = 60
"""Tokens read on each side of an equals sign."""

_CLAUSE_ENDS = frozenset(".,;?\n")
_INTRODUCERS = frozenset({":", r"\[", r"\(", "$"})
"""A line that ends in one of these continues in the next: verify if:\\n 2 + 2 = 5."""

_HYPOTHETICAL = make_word_set(
    "if suppose supposing assume assuming assumption imagine would were could should claim claims claimed guess try "
    "trying verify instead not isn't doesn't don't cannot can't never neither whether unless false wrong incorrect "
    "mod modulo congruent remainder base approximately about roughly around nearly almost approx estimate rounded "
    "rounding round rounds nearest need needs needed require requires required must want wants check checking test "
    "testing satisfy satisfies satisfying"
)
_SUBSTITUTIONS = make_word_set("substitute substitutes substituting plug plugging put putting insert inserting")
_TESTED = make_word_set("equation equations inequality condition conditions relation system")
_DENIAL = re.compile(
    r"contradict|impossible|absurd|inconsistent|mistak|incorrect|\\neq|≠|no (?:real )?solutions?\b"
    r"|\bnot (?:true|equal|valid|possible|correct|hold|satisf\w+|work)\b|\b(?:un|not )true\b|\bfalse\b|\bwrong\b"
    r"|n't (?:true|equal|hold|satisfy|work)\b",
    re.IGNORECASE,
)
_OTHER_ARITHMETIC = re.compile(
    r"\bbase[- $\\(]{0,6}(?:[0-9]|two|three|four|five|six|seven|eight|nine|sixteen)|[0-9]\$?_\{?[0-9]|\bbinary\b"
    r"|\boctal\b|hexadecimal|\bmodul|\\pmod|\\bmod|\bcongruen|\\equiv|≡|\boperat(?:ion|or) |cryptarithm|\\star"
    r"|\\oplus|\\otimes|\\diamond|\\begin\{array\}|each letter|digits? (?:is|are) missing",
    re.IGNORECASE,
)


def find_clause_skip_reason(tokens: list[Token], equals_at: int) -> str:
    """Why the equality whose equals sign is at `equals_at` in `tokens` is not stated as a fact, "" if it is."""
    words: list[str] = []
    for position in range(equals_at - 1, max(0, equals_at - CLAUSE_TOKENS) - 1, -1):
        is_introduced = position > 0 and tokens[position - 1].text in _INTRODUCERS
        if tokens[position].text in _CLAUSE_ENDS and not is_introduced:
            break
        words.append(tokens[position].text.lower())
    for token in tokens[equals_at : equals_at + CLAUSE_TOKENS]:
        if token.text == "?":
            return "a question"
        if token.text in _CLAUSE_ENDS:
            break
        words.append(token.text.lower())
    if _SUBSTITUTIONS.intersection(words) and _TESTED.intersection(words):
        return "a substitution into an equation"  # it may be a test of a value
    return next((f"stated with {word}" for word in words if word in _HYPOTHETICAL), "")


def find_step_skip_reason(step: str) -> str:
    """Why no equality of `step` can be called false, "" if one can: it denies one, or uses other arithmetic."""
    denial = _DENIAL.search(step)
    if denial:
        return f"denies something: {denial.group()}"
    other = _OTHER_ARITHMETIC.search(step)
    return f"may be other arithmetic: {other.group()}" if other else ""


def find_problem_skip_reason(problem: str) -> str:
    """Why no equality about `problem` can be called false, "" if one can: its signs may have another meaning."""
    other = _OTHER_ARITHMETIC.search(problem)
    return f"the problem may use other arithmetic: {other.group()}" if other else ""
