"""The equalities that a step states, each true, false or doubtful."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from stages.judge.arithmetic.context import doubt_of_clause
from stages.judge.arithmetic.expression import evaluate
from stages.judge.arithmetic.pieces import Piece, split_pieces
from stages.judge.arithmetic.tokens import Token, tokenise
from stages.judge.arithmetic.values import DoubtError, Value, around, exactly, read_literal
from stages.judge.arithmetic.words import measures

LONGEST_STEP = 50_000
"""Characters of a step that are read."""

MOST_EQUALITIES = 400
"""Equals signs of one step that are looked at."""

LONGEST_SHOWN = 40
"""Characters of a value that a reason shows."""

_CALCULATOR = re.compile(r"<<([^<>]{1,300})>>")
_OPERANDS = frozenset({"number", "command", "bang"})
_FACTORS = [exactly(factor) for factor in (3, 4, 7, 12, 16, 24, 30, 36, 52, 60, 100, 365, 1000, 3600, 10_000)]
"""Factors between units of one kind: sides that differ by one of these may be a conversion."""


@dataclass(frozen=True)
class Equality:
    """A stated equality: `holds` is None where it is doubtful, and `reason` says why or what is wrong."""

    text: str
    holds: bool | None
    reason: str


def equalities(step: str) -> Iterator[Equality]:
    """Every equality between two sides in `step`, in order, those of calculator marks (``<<48/2=24>>``) first."""
    if len(step) > LONGEST_STEP:
        step = f"{step[:LONGEST_STEP]}\0"  # no number: what the cut goes through is doubtful
    looked_at = 0
    texts = [mark[1] for mark in _CALCULATOR.finditer(step)]
    for text in [*texts, _CALCULATOR.sub(" ", step)]:
        for equality in _in_text(text):
            yield equality
            looked_at += 1
            if looked_at == MOST_EQUALITIES:
                return


def _in_text(text: str) -> Iterator[Equality]:
    tokens = tokenise(text)
    sides: list[list[Piece]] = []
    relations: list[str] = []
    places: list[int] = []
    start = 0
    for position, token in enumerate([*tokens, Token("relation", "end", False)]):
        if token.kind in ("equals", "relation"):
            sides.append(split_pieces(tokens[start:position]))
            relations.append("=" if token.kind == "equals" else token.text)
            places.append(position)
            start = position + 1
    for index, relation in enumerate(relations[:-1]):
        if relation == "=":
            left, right = sides[index][-1], sides[index + 1][0]
            left.doubt = left.doubt or doubt_of_clause(tokens, places[index])
            yield _compare(left, right)


def _compare(left: Piece, right: Piece) -> Equality:
    text = f"{_shown(left)} = {_shown(right)}"
    doubt = left.doubt or right.doubt or _doubt_of_units(left, right)
    if not doubt and not (_computes(left) or _computes(right)):
        doubt = "nothing to compute"
    if not doubt and right.tokens and right.tokens[-1].kind == "bang":
        doubt = "factorial or exclamation mark"
    if not doubt and any(token.spoken for token in right.tokens):
        doubt = "may be a sentence that goes on"  # = 360 divided by 5 is 72
    if not doubt and {"°", "pi"} <= {token.text for token in left.tokens + right.tokens}:
        doubt = "degrees and radians"
    if not doubt and not _computes(left) and (left.units or left.after_words):
        doubt = "names a quantity"  # 8 boxes = 8 * 20, one-third of 27 = 27 / 3
    if doubt:
        return Equality(text, None, doubt)
    try:
        return _decide(text, left, right)
    except DoubtError as error:
        return Equality(text, None, str(error))


def _computes(piece: Piece) -> bool:
    """Whether `piece` is more than one number with its sign, brackets and percent."""
    return sum(token.kind in _OPERANDS for token in piece.tokens) > 1


def _decide(text: str, left: Piece, right: Piece) -> Equality:
    tokens = left.tokens + right.tokens
    kinds = {token.kind for token in tokens}
    readings = [left.tokens]
    if left.dash:
        readings.append([Token("operator", "-", False), *left.tokens])
    elif left.tokens and left.tokens[0].text == "-":
        readings.append(left.tokens[1:])
    marked = bool(kinds & {"percent", "money"} or left.units or right.units)
    for reading in readings:
        doubt = _same(reading, right.tokens, marked)
        if doubt is not None:
            return Equality(text, None if doubt else True, doubt)
    sides = [_number(evaluate(side)) for side in (left.tokens, right.tokens)]
    return Equality(text, False, f"{sides[0]} is not {sides[1]}")


def _same(left: list[Token], right: list[Token], marked: bool) -> str | None:
    """None where the sides differ for certain, "" where they are equal, else the doubt."""
    first, second = evaluate(left), evaluate(right)
    if _meet(first, second):
        return ""
    if _rounded(left, second) or _rounded(right, first):
        return "rounded"
    if marked and any(_meet(first * factor, second) or _meet(first, second * factor) for factor in _FACTORS):
        return "may be a conversion"
    return None


def _meet(first: Value, second: Value) -> bool:
    return first.low <= second.high and second.low <= first.high


def _rounded(tokens: list[Token], other: Value) -> bool:
    """Whether `tokens` is a bare number that `other` may have been rounded, or cut off, to."""
    bare = [token for token in tokens if token.kind not in ("money", "unit", "open", "close")]
    minus = bool(bare) and bare[0].text == "-"
    if len(bare) != 1 + minus or bare[-1].kind != "number":
        return False
    number, decimals = read_literal(bare[-1].text)
    number = -number if minus else number
    if decimals:
        return _meet(around(number, Fraction(1, 10**decimals)), other)
    whole = other.low == other.high and other.low.denominator == 1
    if whole:
        return False
    return other.low - 1 < number < other.high + 1


def _doubt_of_units(left: Piece, right: Piece) -> str:
    """Units of one kind with different names on the two sides: a conversion, which is not looked into."""
    dimensions: dict[str, set[str]] = {}
    for dimension, name in measures(left.units + right.units):
        dimensions.setdefault(dimension, set()).add(name)
    return next((f"units {' and '.join(sorted(names))}" for names in dimensions.values() if len(names) > 1), "")


def _short(number: Fraction) -> str:
    try:
        return f"{float(number):.6g}"
    except OverflowError:
        return "a number of many digits"


def _shown(piece: Piece) -> str:
    return " ".join(token.text for token in piece.tokens if token.kind != "money")[:80] or "?"


def _number(value: Value) -> str:
    if value.low != value.high:
        return f"about {_short((value.low + value.high) / 2)}"
    # A digit takes more than three bits; Python refuses to write numbers of thousands of digits.
    if value.low.numerator.bit_length() + value.low.denominator.bit_length() > 3 * LONGEST_SHOWN:
        return "a number of many digits"
    return str(value.low)
