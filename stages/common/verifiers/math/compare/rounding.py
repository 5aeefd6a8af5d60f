"""When a decimal may stand for another number: one rule.

| decimal | stands for |
|---|---|
| of at least five significant digits, some after the point | a number that is no finite decimal and rounds to it |
| of at least sixteen significant digits | a number with the same 64-bit float: the noise of a calculation |
| any other, and every integer | only its own value |

Percent, money and degrees follow the same rule: 33.333% is 1/3, $7.78 is not 70/9 dollars, and 57.296 degrees is one
radian. Digits are significant digits: 0.0000012 has two, and does not stand for 1/700000.
"""

from __future__ import annotations

from fractions import Fraction

from stages.common.verifiers.math.compare.tokens import Node

ROUNDED_DIGITS = 5
"""Fewest significant digits of a decimal that stands for the number that rounds to it."""

_FLOAT_DIGITS = 16


def is_rounding(decimal: Node, value: Fraction, is_irrational: bool = False) -> bool:
    """Return whether the number `decimal` stands for `value`, which for an irrational number is its first 50 digits."""
    sign = -1 if decimal.kind == "neg" else 1
    number = decimal.args[0] if decimal.kind == "neg" else decimal
    if number.kind != "num" or number.args[1] is None:
        return False
    written, last_digit, digits = number.args
    difference = abs(value - sign * written)
    if digits >= _FLOAT_DIGITS and difference * 10 ** (_FLOAT_DIGITS - 2) < abs(written):
        return float(written) == float(value) * sign or difference * 2 <= last_digit
    if digits < ROUNDED_DIGITS or difference * 2 > last_digit:
        return False
    return is_irrational or not _is_finite_decimal(value)


def _is_finite_decimal(value: Fraction) -> bool:
    return pow(10, value.denominator.bit_length(), value.denominator) == 0
