"""Sets of real numbers that inequalities describe, by SymPy. Loaded only in the processes for algebra."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy

from stages.common.verifiers.math.compare.resolve import find_names
from stages.common.verifiers.math.compare.tokens import Node

_MAX_DEGREE = 4
"""Inequalities of a higher degree are not solved."""

_FUNCTIONS = {
    "ln": sympy.log,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "exp": sympy.exp,
    "arctan": sympy.atan,
}
_RELATIONS = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge, "!=": sympy.Ne}


class NotComputedError(ValueError):
    """SymPy is not asked about this kind of formula."""


def convert(node: Node) -> Any:
    """Return the SymPy expression of a formula, its names as real symbols; raise `NotComputedError` for others."""
    kind, args = node
    if kind == "num":
        return sympy.Rational(args[0].numerator, args[0].denominator)
    if kind == "const":
        return sympy.pi if args[0] == "pi" else sympy.oo
    if kind in ("name", "word", "apply"):
        if node.args[0] in ("e", "i"):
            return sympy.E if args[0] == "e" else sympy.I
        return sympy.Symbol(str(args), real=True)
    if kind in ("add", "mul"):
        return (sympy.Add if kind == "add" else sympy.Mul)(*map(convert, args))
    if kind == "call" and len(args[1]) == 1 and args[0] in _FUNCTIONS:
        return _FUNCTIONS[args[0]](convert(args[1][0]))
    if kind in ("neg", "abs", "pct"):
        inside = convert(args[0])
        return -inside if kind == "neg" else sympy.Abs(inside) if kind == "abs" else inside / 100
    if kind in ("div", "pow", "root"):
        first, second = map(convert, args)
        return first / second if kind == "div" else first**second if kind == "pow" else sympy.root(first, second)
    raise NotComputedError(kind)


def convert_set(node: Node) -> Any:
    """Return the SymPy set of a region, interval, inequality or system of them."""
    kind, args = node
    if kind == "region":
        return convert_set(args[1])
    if kind == "interval":
        return sympy.Interval(convert(args[0]), convert(args[1]), args[2], args[3])
    if kind in ("union", "inter", "minus"):
        first, second = map(convert_set, args)
        return first | second if kind == "union" else first & second if kind == "inter" else first - second
    if kind == "set":
        return sympy.FiniteSet(*map(convert, args))
    if kind == "tuple" and len(args[1]) == 2:
        return sympy.Interval(*map(convert, args[1]), args[0][0] in "(]", args[0][1] in ")[")
    if kind == "inequality":
        return _solve(*args)
    if kind == "system":
        return _join(args[0], [convert_set(one) for one in args[1]])
    raise NotComputedError(kind)


def _join(joiner: str, sets: list[Any]) -> Any:
    union, common = sympy.Union(*sets), sympy.Intersection(*sets)
    if joiner in ("and", "or"):
        return union if joiner == "or" else common
    if common.is_empty:
        return union
    if union == sympy.S.Reals or union == common:
        return common
    raise NotComputedError("inequalities that may hold together or one at a time")


def _solve(operators: tuple[str, ...], terms: tuple[Node, ...]) -> Any:
    if len(find_names(terms)) != 1:
        raise NotComputedError("inequalities of several variables")
    values = [convert(side) for side in terms]
    relations = [_RELATIONS[name](*pair) for name, pair in zip(operators, pairwise(values), strict=True)]
    (symbol,) = set().union(*(value.free_symbols for value in values))
    for first, second in pairwise(values):
        bare = (first - second).replace(sympy.Abs, lambda inside: inside)
        if not bare.is_polynomial(symbol) or sympy.degree(bare, symbol) > _MAX_DEGREE:
            raise NotComputedError("an inequality that is not solved")
    return sympy.And(*relations).as_set()


def find_limit(node: Node) -> Node:
    """Return the rational value of a limit."""
    target, _, body = node.args
    if target is None or target.kind != "rel":
        raise NotComputedError("a limit without a target")
    value = sympy.limit(convert(body), *map(convert, target.args[1]))
    if not value.is_Rational:
        raise NotComputedError("a limit that is no rational number")
    return Node("num", (Fraction(int(value.p), int(value.q)), None, 0))


def compare_sets(gold: Node, answer: Node) -> bool | None:
    """Return whether two sets of real numbers are equal, None if SymPy does not know."""
    first, second = convert_set(gold), convert_set(answer)
    if first == second:
        return True
    difference = first.symmetric_difference(second)
    empty = difference.is_empty
    return None if empty is None else bool(empty)
