"""Exact values: fractions, or intervals of fractions for what is rounded or irrational; bounded in size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

MOST_DIGITS = 40
"""Digits of a number that is read."""

MOST_BITS = 20_000
"""Bits of a power's or factorial's value."""

_ROOT_SCALE = 10**40


class DoubtError(ValueError):
    """This cannot be read for certain; the message says why."""


@dataclass(frozen=True)
class Value:
    """All numbers from `low` to `high`, both ends included; a number that is known exactly has equal ends."""

    low: Fraction
    high: Fraction
    percent: bool = False

    def __post_init__(self) -> None:
        bits = max(end.numerator.bit_length() + end.denominator.bit_length() for end in (self.low, self.high))
        if bits > 2 * MOST_BITS:
            raise DoubtError("too large")

    def __add__(self, other: Value) -> Value:
        if self.percent != other.percent:
            raise DoubtError("percent and number added")
        return Value(self.low + other.low, self.high + other.high, self.percent)

    def __neg__(self) -> Value:
        return Value(-self.high, -self.low, self.percent)

    def __mul__(self, other: Value) -> Value:
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Value(min(corners), max(corners))

    def inverse(self) -> Value:
        if self.low <= 0 <= self.high:
            raise DoubtError("division by zero")
        return Value(1 / self.high, 1 / self.low)

    def power(self, exponent: Value) -> Value:
        """Whole powers only: roots written as powers have more than one reading."""
        if exponent.low != exponent.high or exponent.low.denominator != 1:
            raise DoubtError("power that is not whole")
        count = abs(int(exponent.low))
        size = max(end.numerator.bit_length() + end.denominator.bit_length() for end in (self.low, self.high))
        if count * size > MOST_BITS:
            raise DoubtError("too large")
        if count == 0 and self.low <= 0 <= self.high:
            raise DoubtError("0 to the power of 0")
        ends = [self.low**count, self.high**count]
        if count % 2 == 0 and self.low < 0 < self.high:
            ends.append(Fraction(0))
        result = Value(min(ends), max(ends))
        return result.inverse() if exponent.low < 0 else result

    def root(self) -> Value:
        if self.low < 0:
            raise DoubtError("root of a negative number")
        return Value(_root(self.low, up=False), _root(self.high, up=True))

    def factorial(self) -> Value:
        return exactly(math.factorial(self.whole(500)))

    def whole(self, most: int) -> int:
        """The value as a whole number from 0 to `most`."""
        if self.low != self.high or self.low.denominator != 1 or not 0 <= self.low <= most:
            raise DoubtError("not a small whole number")
        return int(self.low)


PI = Value(Fraction(314, 100), Fraction(22, 7))
"""As wide as the values that are used for it by hand."""


def exactly(number: int | Fraction) -> Value:
    return Value(Fraction(number), Fraction(number))


def read_literal(text: str) -> tuple[Fraction, int]:
    """The number `text` (digits, thousands commas, a point) and how many of its digits follow the point."""
    digits = text.replace(",", "")
    if len(digits) > MOST_DIGITS:
        raise DoubtError("too many digits")
    if len(digits) > 1 and digits.isdigit() and digits[0] == "0":
        raise DoubtError("a time of day or a code")
    return Fraction(digits), len(digits.partition(".")[2])


def literal(text: str) -> Value:
    """A number within an expression: with two decimals or more it may be rounded, or cut off, by its last digit."""
    number, decimals = read_literal(text)
    return around(number, Fraction(1, 10**decimals)) if decimals >= 2 else exactly(number)


def around(number: Fraction, radius: Fraction) -> Value:
    return Value(number - radius, number + radius)


def _root(number: Fraction, up: bool) -> Fraction:
    top, bottom = math.isqrt(number.numerator), math.isqrt(number.denominator)
    if top * top == number.numerator and bottom * bottom == number.denominator:
        return Fraction(top, bottom)
    return Fraction(math.isqrt(number.numerator * _ROOT_SCALE**2 // number.denominator) + up, _ROOT_SCALE)
