"""Numbers in a shape: points, vectors, matrices, intervals. Formulas are SymPy objects."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from stages.outcome.exact import ROUNDED_DIGITS

_ALIKE = 1e-12
"""Relative difference of two floats that were written as the same number."""

Shape = tuple[object, ...]


def same_vector(gold: Any, answer: Any) -> bool:
    """Whether a matrix of one row or column has the coordinates of a point."""
    import sympy

    if isinstance(gold, sympy.MatrixBase) == isinstance(answer, sympy.MatrixBase):
        return False
    matrix, point = (gold, answer) if isinstance(gold, sympy.MatrixBase) else (answer, gold)
    coordinates = _coordinates(point)
    if coordinates is None or 1 not in matrix.shape or len(matrix) != len(coordinates):
        return False
    return all(sympy.simplify(one - other) == 0 for one, other in zip(matrix, coordinates, strict=True))


def same_after_rounding(gold: Any, answer: Any) -> bool:
    """Whether both have the same shape, and each decimal of enough digits is the exact number beside it, rounded."""
    first, second = _shaped(gold), _shaped(answer)
    if first is None or second is None or first[0] != second[0]:
        return False
    pairs = list(zip(first[1], second[1], strict=True))
    return any(one.has_float != other.has_float for one, other in pairs) and all(_near(*pair) for pair in pairs)


class _Number:
    """A number of a formula, and whether it is written as a decimal."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.has_float = bool(value.is_Float)


def _near(one: _Number, other: _Number) -> bool:
    import sympy

    if one.value == other.value:
        return True
    first, second = sympy.N(one.value, 30), sympy.N(other.value, 30)
    if not (first.is_Float and second.is_Float):
        return False
    difference = abs(first - second)
    if difference <= _ALIKE * abs(second):
        return True
    if one.has_float == other.has_float:
        return False
    rounded, exact = (one, other) if one.has_float else (other, one)
    if exact.value.is_Rational and 10**400 % exact.value.q == 0:
        return False  # a decimal that ends needs no rounding
    written = Decimal(repr(float(rounded.value)))
    exponent = written.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0 or len(written.as_tuple().digits) < ROUNDED_DIGITS:
        return False
    return bool(difference * 2 <= sympy.Float(10, 30) ** exponent)


def _coordinates(point: Any) -> list[Any] | None:
    """The coordinates of a point or row; the parser takes one of two for an interval."""
    import sympy

    if isinstance(point, sympy.Interval) and point.left_open == point.right_open:
        return [point.start, point.end]
    return list(point.args) if isinstance(point, sympy.Tuple) else None


def _shaped(formula: Any) -> tuple[Shape, list[_Number]] | None:
    """The shape of a formula and its numbers, None where it holds anything else."""
    import sympy

    if isinstance(formula, sympy.MatrixBase):
        shape: Shape = ("matrix", *formula.shape)
        parts = list(formula)
    elif isinstance(formula, sympy.Interval):
        shape = ("interval", bool(formula.left_open), bool(formula.right_open))
        parts = [formula.start, formula.end]
    elif isinstance(formula, sympy.Tuple):
        shape, parts = ("tuple", len(formula.args)), list(formula.args)
    elif isinstance(formula, sympy.FiniteSet):
        shape, parts = ("set", len(formula.args)), list(formula.args)
        if all(part.is_real for part in parts):
            parts.sort(key=float)
    elif isinstance(formula, sympy.Expr):
        shape, parts = ("number",), [formula]
    else:
        return None
    if not all(isinstance(part, sympy.Expr) and part.is_number for part in parts):
        return None
    return shape, [_Number(part) for part in parts]
