"""Checks for equality that math-verify lacks: vectors, rounded numbers, sets. Formulas are SymPy objects."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from stages.common.verifiers.math.compare.exact_numbers import ROUNDED_DIGITS

_FLOAT_TOLERANCE = 1e-12
"""Largest relative difference of two floats that were written as the same number."""

Shape = tuple[object, ...]


def is_same_vector(gold: Any, answer: Any) -> bool:
    """Return whether a matrix of one row or column has the coordinates of a point."""
    import sympy

    if isinstance(gold, sympy.MatrixBase) == isinstance(answer, sympy.MatrixBase):
        return False
    matrix, point = (gold, answer) if isinstance(gold, sympy.MatrixBase) else (answer, gold)
    coordinates = _get_coordinates(point)
    if coordinates is None or 1 not in matrix.shape or len(matrix) != len(coordinates):
        return False
    return all(sympy.simplify(one - other) == 0 for one, other in zip(matrix, coordinates, strict=True))


def is_rounded_equal(gold: Any, answer: Any) -> bool:
    """Return whether both have the same shape and decimals of enough digits are the exact numbers rounded."""
    first, second = _read_shape(gold), _read_shape(answer)
    if first is None or second is None or first[0] != second[0]:
        return False
    pairs = list(zip(first[1], second[1], strict=True))
    return any(one.has_float != other.has_float for one, other in pairs) and all(_is_near(*pair) for pair in pairs)


class _ShapedNumber:
    """A number of a formula, and whether it is written as a decimal."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.has_float = bool(value.is_Float)


def _is_near(one: _ShapedNumber, other: _ShapedNumber) -> bool:
    import sympy

    if one.value == other.value:
        return True
    first, second = sympy.N(one.value, 30), sympy.N(other.value, 30)
    if not (first.is_Float and second.is_Float):
        return False
    difference = abs(first - second)
    if difference <= _FLOAT_TOLERANCE * abs(second):
        return True
    if one.has_float == other.has_float:
        return False
    rounded, exact = (one, other) if one.has_float else (other, one)
    if exact.value.is_Rational and 10**400 % exact.value.q == 0:
        return False  # a finite decimal needs no rounding
    written = Decimal(repr(float(rounded.value)))
    exponent = written.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0 or len(written.as_tuple().digits) < ROUNDED_DIGITS:
        return False
    return bool(difference * 2 <= sympy.Float(10, 30) ** exponent)


def _get_coordinates(point: Any) -> list[Any] | None:
    """Return the coordinates of a point or row; the parser reads a pair as an interval."""
    import sympy

    if isinstance(point, sympy.Interval) and point.left_open == point.right_open:
        return [point.start, point.end]
    return list(point.args) if isinstance(point, sympy.Tuple) else None


def _read_shape(formula: Any) -> tuple[Shape, list[_ShapedNumber]] | None:
    """Return the shape of a formula and its numbers, None if it holds anything else."""
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
    return shape, [_ShapedNumber(part) for part in parts]


_MAX_DEGREE = 4
"""Inequalities of a higher degree are not solved."""


def is_same_set(gold: Any, answer: Any) -> bool:
    """Return whether both are the same set of real numbers and at least one is written with inequalities.

    A list of inequalities is their union, as in "x < 0 or x > 1", or their intersection if the union is everything,
    as in "x > 0, x < 5".
    """
    if not (_has_relation(gold) or _has_relation(answer)):
        return False
    names = {symbol.name for symbol in gold.free_symbols} | {symbol.name for symbol in answer.free_symbols}
    if len(names) != 1:
        return False
    first, second = _as_set(gold), _as_set(answer)
    if first is None or second is None:
        return False
    return bool(first == second or first.symmetric_difference(second).is_empty)


def _has_relation(formula: Any) -> bool:
    import sympy

    return bool(formula.atoms(sympy.core.relational.Relational) or formula.atoms(sympy.Contains))


def _as_set(formula: Any) -> Any | None:
    """Return the set that a formula stands for, None for other kinds of formulas."""
    import sympy

    if isinstance(formula, sympy.Eq) and isinstance(formula.rhs, sympy.Set):
        return formula.rhs
    if isinstance(formula, (sympy.core.relational.Relational, sympy.And)):
        return _solve(formula)
    parts = getattr(formula, "args", ())
    if isinstance(formula, (sympy.FiniteSet, sympy.Tuple)) and parts and all(map(_has_relation, parts)):
        sets = [_solve(part) for part in parts]
        if any(one is None for one in sets):
            return None
        union, common = sympy.Union(*sets), sympy.Intersection(*sets)
        return common if union == sympy.S.Reals and not common.is_empty else union
    return formula if isinstance(formula, sympy.Set) else None


def _solve(relation: Any) -> Any | None:
    """Return the solutions of an inequality in one variable or a chain of them, None for other relations."""
    import sympy

    symbols = relation.free_symbols
    if len(symbols) != 1 or isinstance(relation, sympy.Eq):
        return None
    (symbol,) = symbols
    real = sympy.Symbol(symbol.name, real=True)
    relation = relation.subs(symbol, real)
    for side in relation.atoms(sympy.core.relational.Relational):
        difference = side.lhs - side.rhs
        bare = difference.replace(sympy.Abs, lambda inside: inside)
        if not bare.is_polynomial(real) or sympy.degree(bare, real) > _MAX_DEGREE:
            return None
    return relation.as_set()
