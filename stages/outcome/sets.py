"""Sets of real numbers, written as intervals, inequalities or lists of them. Formulas are SymPy objects."""

from __future__ import annotations

from typing import Any

_HIGHEST_DEGREE = 4
"""Inequalities of a higher degree are not solved."""


def same_set(gold: Any, answer: Any) -> bool:
    """Whether both say the same set of numbers and at least one says it by inequalities.

    A list of inequalities is their union, as in "x < 0 or x > 1"; where the union is everything, as with
    "x > 0, x < 5", all of them are meant to hold.
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
    """The set that a formula says, None for a formula of another kind."""
    import sympy

    if isinstance(formula, sympy.Eq) and isinstance(formula.rhs, sympy.Set):
        return formula.rhs
    if isinstance(formula, (sympy.core.relational.Relational, sympy.And)):
        return _solved(formula)
    parts = getattr(formula, "args", ())
    if isinstance(formula, (sympy.FiniteSet, sympy.Tuple)) and parts and all(map(_has_relation, parts)):
        sets = [_solved(part) for part in parts]
        if any(one is None for one in sets):
            return None
        union, common = sympy.Union(*sets), sympy.Intersection(*sets)
        return common if union == sympy.S.Reals and not common.is_empty else union
    return formula if isinstance(formula, sympy.Set) else None


def _solved(relation: Any) -> Any | None:
    """The numbers for which `relation` holds: an inequality in one variable, or a chain of them."""
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
        if not bare.is_polynomial(real) or sympy.degree(bare, real) > _HIGHEST_DEGREE:
            return None
    return relation.as_set()
