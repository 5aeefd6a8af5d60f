"""What a text computes: from which numbers, and with which result."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

from stages.judge.rules.arithmetic.context import NO_FACT
from stages.judge.rules.arithmetic.equalities import MAY_BE_ANOTHER, NAMES_QUANTITY, Equality, find_equalities
from stages.judge.rules.arithmetic.expression import evaluate, evaluate_parts
from stages.judge.rules.arithmetic.other_readings import ROUNDED
from stages.judge.rules.arithmetic.tokens import Token
from stages.judge.rules.arithmetic.values import AmbiguityError, Value, parse_number

MAX_DENOMINATOR = 10**6
"""Results are equal as fractions with at most this denominator: a third and 0.333333333 are."""

MAX_SUBSTITUTIONS = 5_000
"""Computations of one reference solution that are added by putting results in."""


class Computation(NamedTuple):
    """The numbers of an expression in ascending order, and its value: 2 * (3 + 4) is ((2, 3, 4), 14)."""

    numbers: tuple[Fraction, ...]
    result: Fraction


def read_computation(equality: Equality) -> Computation | None:
    """What `equality` computes, on the side that has more numbers; None where that is one number."""
    computed = [parts[-1] for side in equality.sides if (parts := _read_parts(side.tokens))]
    return max(computed, key=lambda it: len(it.numbers), default=None)


def is_numeric(equality: Equality) -> bool:
    """Whether `equality` states the value of numbers alone, whether or not it can be called true where it stands."""
    is_named = equality.reason in (NAMES_QUANTITY, MAY_BE_ANOTHER) or any(side.has_name for side in equality.sides)
    return equality.is_true is not None or not is_named


def has_equal_sides(equality: Equality) -> bool:
    """Whether `equality` is stated, and its sides as they are written have one value or one is the other's rounding."""
    if equality.reason.startswith(NO_FACT):
        return False
    if equality.is_true is not None or equality.reason == ROUNDED:
        return equality.is_true is not False
    try:
        first, second = (evaluate(side.tokens) for side in equality.sides)
    except AmbiguityError:
        return False
    return first.overlaps(second)


def read_reference(text: str) -> frozenset[Computation]:
    """What a reference solution computes, with the parts of each expression, and with results put in for numbers.

    ``8 / 2 * 4 = 16`` holds 8 / 2 = 4; after ``3 * 7 = 21`` the equation ``21 + 12 = 33`` holds 3 * 7 + 12 = 33.
    """
    whole: list[Computation] = []
    found: set[Computation] = set()
    for equality in find_equalities(text):
        for side in equality.sides if is_numeric(equality) and has_equal_sides(equality) else ():
            parts = _read_parts(side.tokens)
            whole += parts[-1:]
            found.update(parts)
    found.update(islice(_substitute(whole), MAX_SUBSTITUTIONS))
    return frozenset(found)


def _substitute(computations: list[Computation]) -> Iterator[Computation]:
    """`computations` with one number replaced by the numbers that gave it."""
    sources: dict[Fraction, list[Computation]] = {}
    for computation in computations:
        sources.setdefault(computation.result, []).append(computation)
    for numbers, result in computations:
        for position, number in enumerate(numbers):
            rest = numbers[:position] + numbers[position + 1 :]
            for source in sources.get(number, ()):
                if source.numbers != numbers:
                    yield Computation(tuple(sorted(rest + source.numbers)), result)


def _read_parts(tokens: list[Token]) -> list[Computation]:
    """What `tokens` compute from two numbers or more, the whole last; nothing where they have no one reading."""
    try:
        parts = evaluate_parts(tokens)
    except AmbiguityError:
        return []
    made = [_make_computation(*part) for part in parts]
    return [it for it in made if len(it.numbers) > 1] if len(made[-1].numbers) > 1 else []


def _make_computation(tokens: list[Token], value: Value) -> Computation:
    middle = (value.low + value.high) / 2
    return Computation(_find_numbers(tokens), middle.limit_denominator(MAX_DENOMINATOR))


def _find_numbers(tokens: list[Token]) -> tuple[Fraction, ...]:
    numbers = []
    for token, after in zip(tokens, [*tokens[1:], None], strict=False):
        if token.kind == "number":
            number = parse_number(token.text)[0]
            numbers.append(number / 100 if after is not None and after.kind == "percent" else number)
    return tuple(sorted(numbers))
