"""The equalities that a step states, each true, false or ambiguous."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from stages.judge.rules.arithmetic.context import find_clause_skip_reason
from stages.judge.rules.arithmetic.expression import evaluate
from stages.judge.rules.arithmetic.operands import Operand, is_one_clause, read_name, split_operands
from stages.judge.rules.arithmetic.other_readings import find_other_reading
from stages.judge.rules.arithmetic.tokens import Token, tokenize
from stages.judge.rules.arithmetic.values import AmbiguityError, Value
from stages.judge.rules.arithmetic.word_lists import find_units

MAX_STEP_CHARS = 50_000
"""Characters read of a step."""

MAX_EQUALITIES = 400
"""Equals signs read in one step."""

MAX_VALUE_CHARS = 40
"""Characters of a value in a reason."""

NAMES_QUANTITY = "names a quantity"
MAY_BE_ANOTHER = "may be another value"

_CALCULATOR = re.compile(r"<<([^<>]{1,300})>>")
_OPERANDS = frozenset({"number", "command", "bang"})


@dataclass(frozen=True)
class Equality:
    """A stated equality; `is_true` is None where it is ambiguous, and `reason` says why, or what is false."""

    text: str
    is_true: bool | None
    reason: str
    sides: tuple[Operand, Operand]


def find_equalities(step: str) -> Iterator[Equality]:
    """Every equality in `step`, in order, those in calculator marks (``<<48/2=24>>``) first."""
    if len(step) > MAX_STEP_CHARS:
        step = f"{step[:MAX_STEP_CHARS]}\0"  # not a number: whatever the cut goes through is ambiguous
    num_found = 0
    texts = [mark[1] for mark in _CALCULATOR.finditer(step)]
    for text in [*texts, _CALCULATOR.sub(" ", step)]:
        for equality in _find_in_text(text):
            yield equality
            num_found += 1
            if num_found == MAX_EQUALITIES:
                return


def _find_in_text(text: str) -> Iterator[Equality]:
    tokens = tokenize(text)
    sides: list[list[Operand]] = []
    relations: list[str] = []
    positions: list[int] = []
    start = 0
    for position, token in enumerate([*tokens, Token("relation", "end", False)]):
        if token.kind in ("equals", "relation"):
            sides.append(split_operands(tokens[start:position]))
            relations.append("=" if token.kind == "equals" else token.text)
            positions.append(position)
            start = position + 1
    for index, relation in enumerate(relations[:-1]):
        if relation == "=":
            left, right = sides[index][-1], sides[index + 1][0]
            left.skip_reason = find_clause_skip_reason(tokens, positions[index]) or left.skip_reason
            yield _compare(left, right)
    yield from _find_by_name(tokens, sides, relations, positions)


def _find_by_name(
    tokens: list[Token], sides: list[list[Operand]], relations: list[str], positions: list[int]
) -> Iterator[Equality]:
    """The equalities of what one name is said to be in neighbouring equations: Total = 20 + 23. Total = 43."""
    starts = [0, *(position + 1 for position in positions)]
    name: tuple[str, ...] = ()
    for index, relation in enumerate(relations[:-1]):
        side = tokens[starts[index] : positions[index]]
        if relation != "=":
            name = ()
            continue
        previous, (name, is_next) = name, read_name(side) or (name if index and is_one_clause(side) else (), False)
        if is_next and name == previous:
            left, right = sides[index][0], sides[index + 1][0]
            reasons = [left.skip_reason, *(find_clause_skip_reason(tokens, positions[at]) for at in (index - 1, index))]
            if _has_operation(right):
                reasons.append(MAY_BE_ANOTHER)  # x = 3 + 2, x = 3 - 2
            yield _compare(replace(left, skip_reason=next(filter(None, reasons), "")), right)


def _compare(left: Operand, right: Operand) -> Equality:
    text = f"{_format_operand(left)} = {_format_operand(right)}"
    skip_reason = left.skip_reason or right.skip_reason or _find_unit_skip_reason(left, right)
    if not skip_reason and not (_has_operation(left) or _has_operation(right)):
        skip_reason = "nothing to compute"
    if not skip_reason and right.tokens and right.tokens[-1].kind == "bang":
        skip_reason = "factorial or exclamation mark"
    if not skip_reason and any(token.is_spoken for token in right.tokens):
        skip_reason = "the sentence may continue"  # = 360 divided by 5 is 72
    if not skip_reason and {"°", "pi"} <= {token.text for token in left.tokens + right.tokens}:
        skip_reason = "degrees and radians"
    if not skip_reason and not _has_operation(left) and (left.units or left.follows_words):
        skip_reason = NAMES_QUANTITY  # 8 boxes = 8 * 20, one-third of 27 = 27 / 3
    if skip_reason:
        return Equality(text, None, skip_reason, (left, right))
    try:
        return Equality(text, *_decide(left, right), (left, right))
    except AmbiguityError as error:
        return Equality(text, None, str(error), (left, right))


def _has_operation(operand: Operand) -> bool:
    """Whether `operand` is more than one number with its sign, brackets and percent sign."""
    return sum(token.kind in _OPERANDS for token in operand.tokens) > 1


def _decide(left: Operand, right: Operand) -> tuple[bool | None, str]:
    reason = find_other_reading(left, right)
    if reason is not None:
        return None if reason else True, reason
    values = [_format_value(evaluate(side)) for side in (left.tokens, right.tokens)]
    return False, f"{values[0]} is not {values[1]}"


def _find_unit_skip_reason(left: Operand, right: Operand) -> str:
    """Different units of one dimension on the two sides, which may be a conversion; "" if there are none."""
    if {"am", "pm"} & {word.lower() for word in left.units + right.units}:
        return "a time of day"
    dimensions: dict[str, set[str]] = {}
    for dimension, name in find_units(left.units + right.units):
        dimensions.setdefault(dimension, set()).add(name)
    return next((f"units {' and '.join(sorted(names))}" for names in dimensions.values() if len(names) > 1), "")


def _format_fraction(number: Fraction) -> str:
    try:
        return f"{float(number):.6g}"
    except OverflowError:
        return "a number of many digits"


def _format_operand(operand: Operand) -> str:
    return " ".join(token.text for token in operand.tokens if token.kind != "money")[:80] or "?"


def _format_value(value: Value) -> str:
    if value.low != value.high:
        return f"about {_format_fraction((value.low + value.high) / 2)}"
    # A digit takes more than three bits; Python refuses to write numbers of thousands of digits.
    if value.low.numerator.bit_length() + value.low.denominator.bit_length() > 3 * MAX_VALUE_CHARS:
        return "a number of many digits"
    return str(value.low)
