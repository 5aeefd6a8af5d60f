"""Text around an equality in which it is not stated as a fact, or in which its signs mean something else."""

from __future__ import annotations

import re

from stages.judge.arithmetic.tokens import Token
from stages.judge.arithmetic.words import word_set

CLAUSE = 60
"""Tokens on each side of an equals sign that are looked at."""

_ENDS = frozenset(".,;?\n")
_INTRODUCE = frozenset({":", r"\[", r"\(", "$"})
"""A line that ends in one of these goes on in the next: verify if:\\n 2 + 2 = 5."""

_HYPOTHETICAL = word_set(
    "if suppose supposing assume assuming assumption imagine would were could should claim claims claimed guess try "
    "trying verify instead not isn't doesn't don't cannot can't never neither whether unless false wrong incorrect "
    "mod modulo congruent remainder base approximately about roughly around nearly almost approx estimate rounded "
    "rounding round rounds nearest"
)
_DENIED = re.compile(
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


def doubt_of_clause(tokens: list[Token], place: int) -> str:
    """Why the equality at `place` (its equals sign in `tokens`) is not said as a fact in its clause, "" if it is."""
    words: list[str] = []
    for position in range(place - 1, max(0, place - CLAUSE) - 1, -1):
        introduced = position > 0 and tokens[position - 1].text in _INTRODUCE
        if tokens[position].text in _ENDS and not introduced:
            break
        words.append(tokens[position].text.lower())
    for token in tokens[place : place + CLAUSE]:
        if token.text == "?":
            return "a question"
        if token.text in _ENDS:
            break
        words.append(token.text.lower())
    return next((f"said with {word}" for word in words if word in _HYPOTHETICAL), "")


def doubt_of_step(step: str) -> str:
    """Why no equality of `step` can be called false: it takes one back, or computes with something else."""
    denied = _DENIED.search(step)
    if denied:
        return f"speaks of what does not hold: {denied.group()}"
    other = _OTHER_ARITHMETIC.search(step)
    return f"may be other arithmetic: {other.group()}" if other else ""


def doubt_of_problem(problem: str) -> str:
    """Why no equality of any solution of `problem` can be called false: signs may mean something else in it."""
    other = _OTHER_ARITHMETIC.search(problem)
    return f"the problem may be of other arithmetic: {other.group()}" if other else ""
