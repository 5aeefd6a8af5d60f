"""Exact values of formulas without variables: fractions, whole powers, factorials, percent."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from stages.common.verifiers.math.compare.tokens import Node

MAX_BITS = 40_000
"""Bits of the largest exact value; a larger one, as of 9^{9^9}, is not computed."""

_MAX_FACTORIAL = 3_000


class _NotExactError(ArithmeticError):
    """There is no rational value, or none that is cheap to compute."""


def find_exact(node: Node, names: dict[str, Fraction] | None = None) -> Fraction | None:
    """Return the rational value of `node`, with the values of `names`; None if it has none that is cheap to compute."""
    try:
        return _compute(node, names or {})
    except (_NotExactError, ZeroDivisionError):
        return None


def _compute(node: Node, names: dict[str, Fraction]) -> Fraction:
    if node.kind == "num":
        value: Fraction = node.args[0]
    elif node.kind == "name" and node.args[0] in names:
        value = names[node.args[0]]
    elif node.kind in _OPERATIONS:
        value = _OPERATIONS[node.kind](*(_compute(one, names) for one in node.args))
    else:
        raise _NotExactError(node.kind)
    if _count_bits(value) > MAX_BITS:
        raise _NotExactError("too large")
    return value


def _count_bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _raise(base: Fraction, power: Fraction) -> Fraction:
    if power.denominator != 1 or (base == 0 and power <= 0) or abs(power) * _count_bits(base) > MAX_BITS:
        raise _NotExactError("power")
    return base**power.numerator


def _choose(top: Fraction, bottom: Fraction) -> Fraction:
    if any(one.denominator != 1 or not 0 <= one <= _MAX_FACTORIAL for one in (top, bottom)):
        raise _NotExactError("binomial")
    return Fraction(math.comb(int(top), int(bottom)))


def _take_factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or not 0 <= value <= _MAX_FACTORIAL:
        raise _NotExactError("factorial")
    return Fraction(math.factorial(int(value)))


def _take_double_factorial(value: Fraction) -> Fraction:
    _take_factorial(value)
    return Fraction(math.prod(range(int(value), 0, -2)))


_OPERATIONS: dict[str, Callable[..., Fraction]] = {
    "add": lambda *values: sum(values, Fraction(0)),
    "mul": lambda *values: math.prod(values, start=Fraction(1)),
    "div": lambda top, bottom: top / bottom,
    "neg": lambda value: -value,
    "pct": lambda value: value / 100,
    "pow": _raise,
    "fact": _take_factorial,
    "fact2": _take_double_factorial,
    "binom": _choose,
}
