"""Exact values: fractions, or intervals of fractions for rounded and irrational numbers; bounded in size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 40
"""Digits of a number; longer ones are ambiguous."""

MAX_BITS = 20_000
"""Bits of the value of a power or a factorial."""

FLOAT_DECIMALS = 12
"""Decimals from which a number comes from a calculator: 0.5 - 0.4 = 0.09999999999999998."""

_FLOAT_ERROR = Fraction(1, 10**12)
_LEAST = Fraction(1, 10**40)
_ROOT_SCALE = 10**40


class AmbiguityError(ValueError):
    """A text without one certain reading; the message says why."""


@dataclass(frozen=True)
class Value:
    """All numbers from `low` to `high`, ends included; an exact number has equal ends."""

    low: Fraction
    high: Fraction
    percent: bool = False

    def __post_init__(self) -> None:
        bits = max(end.numerator.bit_length() + end.denominator.bit_length() for end in (self.low, self.high))
        if bits > 2 * MAX_BITS:
            raise AmbiguityError("too large")

    def __add__(self, other: Value) -> Value:
        if self.percent != other.percent:
            raise AmbiguityError("percent and number added")
        return Value(self.low + other.low, self.high + other.high, self.percent)

    def __neg__(self) -> Value:
        return Value(-self.high, -self.low, self.percent)

    def __mul__(self, other: Value) -> Value:
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Value(min(corners), max(corners))

    def overlaps(self, other: Value) -> bool:
        """Whether both may be the same number."""
        return self.low <= other.high and other.low <= self.high

    def invert(self) -> Value:
        if self.low <= 0 <= self.high:
            raise AmbiguityError("division by zero")
        return Value(1 / self.high, 1 / self.low)

    def raise_to(self, exponent: Value) -> Value:
        """Integer powers only: roots written as powers have more than one reading."""
        if exponent.low != exponent.high or exponent.low.denominator != 1:
            raise AmbiguityError("power that is not whole")
        count = abs(int(exponent.low))
        size = max(end.numerator.bit_length() + end.denominator.bit_length() for end in (self.low, self.high))
        if count * size > MAX_BITS:
            raise AmbiguityError("too large")
        if count == 0 and self.low <= 0 <= self.high:
            raise AmbiguityError("0 to the power of 0")
        ends = [self.low**count, self.high**count]
        if count % 2 == 0 and self.low < 0 < self.high:
            ends.append(Fraction(0))
        result = Value(min(ends), max(ends))
        return result.invert() if exponent.low < 0 else result

    def compute_root(self) -> Value:
        if self.low < 0:
            raise AmbiguityError("root of a negative number")
        return Value(_bound_root(self.low, is_upper=False), _bound_root(self.high, is_upper=True))

    def compute_factorial(self) -> Value:
        return make_exact(math.factorial(self.to_integer(500)))

    def to_integer(self, limit: int) -> int:
        """The value as an integer from 0 to `limit`."""
        if self.low != self.high or self.low.denominator != 1 or not 0 <= self.low <= limit:
            raise AmbiguityError("not a small whole number")
        return int(self.low)


PI = Value(Fraction(314, 100), Fraction(22, 7))
"""Contains the values used by hand, 3.14 to 22/7."""


def make_exact(number: int | Fraction) -> Value:
    return Value(Fraction(number), Fraction(number))


def parse_number(text: str) -> tuple[Fraction, int]:
    """The number `text` (digits, thousands commas, a point) and its number of decimals."""
    digits = text.replace(",", "")
    if len(digits) > MAX_DIGITS:
        raise AmbiguityError("too many digits")
    if len(digits) > 1 and digits.isdigit() and digits[0] == "0":
        raise AmbiguityError("a time of day or a code")
    return Fraction(digits), len(digits.partition(".")[2])


def parse_literal(text: str) -> Value:
    """A number in an expression; with two decimals or more it may be rounded or truncated at its last digit."""
    number, decimals = parse_number(text)
    return make_interval(number, find_radius(number, decimals)) if decimals >= 2 else make_exact(number)


def find_radius(number: Fraction, decimals: int) -> Fraction:
    """How far off `number` may be, written with so many decimals: by less than its last, or a calculator's error."""
    digits = (1 - _LEAST) * Fraction(1, 10**decimals)
    return max(digits, _FLOAT_ERROR * max(Fraction(1), abs(number))) if decimals >= FLOAT_DECIMALS else digits


def make_interval(number: Fraction, radius: Fraction) -> Value:
    return Value(number - radius, number + radius)


def _bound_root(number: Fraction, is_upper: bool) -> Fraction:
    top, bottom = math.isqrt(number.numerator), math.isqrt(number.denominator)
    if top * top == number.numerator and bottom * bottom == number.denominator:
        return Fraction(top, bottom)
    return Fraction(math.isqrt(number.numerator * _ROOT_SCALE**2 // number.denominator) + is_upper, _ROOT_SCALE)
