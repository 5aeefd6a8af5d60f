"""Values of formulas at points, to any number of digits. Loaded only in the processes for algebra: it needs mpmath."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import mpmath
from mpmath import mp

from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.resolve import find_names
from stages.common.verifiers.math.compare.tokens import Node

MAX_LOG = 10**6
"""Largest natural logarithm of a power, and largest factorial, that is computed."""

_MAX_TERMS = 1_000
_POINTS = (("positive", 8), ("real", 6), ("complex", 6))
_SIZES = (1, 1, 1, 4, 12)

Point = dict[str, Any]
"""Values of names: fractions, and pairs of them for complex numbers."""


class UndefinedError(Exception):
    """The formula has no value at this point, or none that is computed."""


def make_points(names: frozenset[str]) -> list[tuple[str, Point]]:
    """Return 20 points: rational ones, positive and of both signs, and complex ones. They depend on the names only."""
    kinds = [kind for kind, count in _POINTS for _ in range(count)]
    return [(kind, {name: _draw(Random(f"{name} {i}"), kind, i) for name in names}) for i, kind in enumerate(kinds)]


def _draw(drawn: Random, kind: str, index: int) -> Any:
    value = Fraction(drawn.randint(1, 997), 997) * _SIZES[index % len(_SIZES)] + Fraction(1, 1009)
    if kind == "positive":
        return value
    value *= -1 if index == _POINTS[0][1] or drawn.random() < 0.6 else 1
    return value if kind == "real" else (value, Fraction(drawn.randint(-991, 991), 499))


def make_whole_points(names: frozenset[str]) -> list[Point]:
    """Return points whose values are small whole numbers, not negative if all names are those of counts."""
    lowest = 1 if names <= {"n", "k", "m", "N"} else -9
    return [{name: Fraction(Random(f"{name} {i} whole").randint(lowest, 9)) for name in names} for i in range(12)]


class Evaluator:
    """Computes values at one point.

    `scale` is the largest term of a sum; `left_reals`: a root or logarithm of real numbers was not real.
    """

    def __init__(self, point: Point, log_base: int | None = None) -> None:
        self.point = point
        self.log_base = log_base
        self.scale = mp.mpf(0)
        self.left_reals = False

    def compute(self, node: Node) -> Any:
        """Return the value as an mpmath number; raise `UndefinedError` if there is none."""
        if node.kind not in _RULES:
            raise UndefinedError(node.kind)
        try:
            value = _RULES[node.kind](self, *node.args)
        except (ZeroDivisionError, OverflowError, ValueError, IndexError) as error:
            raise UndefinedError("no value") from error
        if not mpmath.isfinite(value):
            raise UndefinedError("no finite value")
        return value

    def compute_all(self, nodes: tuple[Node, ...]) -> list[Any]:
        return [self.compute(node) for node in nodes]

    def compute_with(self, name: str, value: Any, body: Node) -> Any:
        """Return the value of `body` with a value for one more name."""
        outside, self.point = self.point, {**self.point, name: value}
        try:
            return self.compute(body)
        finally:
            self.point = outside


def _is_negative(value: Any) -> bool:
    return bool(mp.im(value) == 0 and mp.re(value) < 0)


def write_mpf(value: Fraction) -> Any:
    return mp.mpf(value.numerator) / value.denominator


def read_fraction(value: Any) -> Fraction:
    """Return the exact value of a real mpmath number."""
    sign, mantissa, exponent, _ = mp.mpf(value)._mpf_
    scale: Fraction = Fraction(2) ** exponent
    return scale * (-int(mantissa) if sign else int(mantissa))


def _find_name(by: Evaluator, name: str) -> Any:
    value = by.point.get(name)
    if value is not None:
        return mp.mpc(*map(write_mpf, value)) if isinstance(value, tuple) else write_mpf(value)
    if name not in ("e", "i"):
        raise UndefinedError(name)
    return +mp.e if name == "e" else mp.mpc(0, 1)


def _add(by: Evaluator, *nodes: Node) -> Any:
    values = by.compute_all(nodes)
    by.scale = max(by.scale, *map(abs, values))
    return mp.fsum(values)


def _divide(by: Evaluator, top: Node, bottom: Node) -> Any:
    value, divisor = by.compute_all((top, bottom))
    if abs(divisor) <= mp.mpf(10) ** (8 - mp.dps) * max(by.scale, 1):
        raise UndefinedError("division by 0")
    return value / divisor


def _raise(by: Evaluator, base: Node, power: Node) -> Any:
    """Return a power; one of a negative number with an odd root is real, as in school."""
    value, exponent = by.compute_all((base, power))
    if value == 0:
        if mp.re(exponent) <= 0:
            raise UndefinedError("a power of 0")
        return mp.mpf(0)
    if abs(exponent) * abs(mp.log(value)) > MAX_LOG:
        raise UndefinedError("a power too large")
    exact = find_exact(power, {name: one for name, one in by.point.items() if isinstance(one, Fraction)})
    if exact is not None and exact.denominator == 1:
        return value ** int(exact)
    if _is_negative(value) and mp.im(exponent) == 0:
        if exact is not None and exact.denominator % 2 == 1 and not find_names(power):
            return mp.power(-mp.re(value), exponent) * (-1) ** (exact.numerator % 2)
        by.left_reals = True
    return mp.power(value, exponent)


def _call(by: Evaluator, name: str, nodes: tuple[Node, ...]) -> Any:
    values = by.compute_all(nodes)
    if name in ("ln", "log", "lg"):
        by.left_reals |= any(map(_is_negative, values))
        base = values[1] if len(values) == 2 else 10 if name == "lg" else by.log_base if name == "log" else None
        return mp.log(values[0]) / mp.log(base) if base else mp.log(values[0])
    if name in ("max", "min") and not any(mp.im(value) for value in values):
        return (max if name == "max" else min)(map(mp.re, values))
    if name in ("gcd", "lcm"):
        return _measure(name, [int(value) for value in values if mp.isint(value)], len(values))
    if len(values) != 1 or name not in _FUNCTIONS:
        raise UndefinedError(name)
    by.left_reals |= bool(name in ("arcsin", "arccos") and mp.im(values[0]) == 0 and abs(values[0]) > 1)
    return _FUNCTIONS[name](values[0])


def _measure(name: str, values: list[int], count: int) -> Any:
    import math

    if len(values) != count:
        raise UndefinedError(name)
    return mp.mpf((math.gcd if name == "gcd" else math.lcm)(*values))


def _apply(by: Evaluator, name: str, node: Node) -> Any:
    """Return the value of a function that is not known: a polynomial drawn from its name."""
    drawn = Random(f"function {name}")
    value = mp.mpf(drawn.randint(1, 997)) / 101
    for inside in by.compute_all(node.args[1] if node.kind == "tuple" else (node,)):
        value += mp.fsum(mp.mpf(drawn.randint(1, 997)) / 101 * inside**power for power in (1, 2, 3))
    return value


def _round(by: Evaluator, node: Node, rounding: Callable[[Any], Any]) -> Any:
    value = by.compute(node)
    if mp.im(value) != 0:
        raise UndefinedError("a complex number rounded")
    return rounding(mp.re(value))


def _take_factorial(by: Evaluator, node: Node, compute: Callable[[Any], Any] = mp.factorial) -> Any:
    value = by.compute(node)
    if abs(value) > MAX_LOG or (_is_negative(value) and mp.isint(value)):
        raise UndefinedError("a factorial")
    return compute(value)


def _list_terms(by: Evaluator, low: Node | None, high: Node | None, body: Node) -> list[Any]:
    if low is None or high is None or low.kind != "rel" or low.args[1][0].kind != "name":
        raise UndefinedError("bounds")
    first, last = by.compute_all((low.args[1][-1], high))
    if not (mp.isint(first) and mp.isint(last)) or not -1 <= last - first <= _MAX_TERMS:
        raise UndefinedError("bounds")
    name = low.args[1][0].args[0]
    return [by.compute_with(name, Fraction(index), body) for index in range(int(first), int(last) + 1)]


def _integrate(by: Evaluator, name: str, low: Node | None, high: Node | None, body: Node) -> Any:
    if low is None or high is None or mp.dps > 100:
        raise UndefinedError("an integral")
    ends = by.compute_all((low, high))
    value, error = mp.quad(lambda x: by.compute_with(name, read_fraction(mp.re(x)), body), ends, error=True)
    if error > mp.mpf(10) ** (10 - mp.dps):
        raise UndefinedError("an integral")
    return value


_RULES: dict[str, Callable[..., Any]] = {
    "num": lambda _, value, *__: write_mpf(value),
    "name": _find_name, "points": lambda by, *args: _find_name(by, str(Node("points", args))),
    "const": lambda _, name: mp.pi + 0 if name == "pi" else mp.inf,
    "add": _add, "mul": lambda by, *nodes: mp.fprod(by.compute_all(nodes)), "div": _divide,
    "neg": lambda by, node: -by.compute(node), "pow": _raise,
    "root": lambda by, node, degree: _raise(by, node, Node("div", (Node("num", (Fraction(1), None, 0)), degree))),
    "call": _call, "apply": _apply, "abs": lambda by, node: abs(by.compute(node)),
    "floor": lambda by, node: _round(by, node, mp.floor), "ceil": lambda by, node: _round(by, node, mp.ceil),
    "fact": _take_factorial, "fact2": lambda by, node: _take_factorial(by, node, mp.fac2),
    "binom": lambda by, *nodes: mp.binomial(*by.compute_all(nodes)),
    "deg": lambda by, node: by.compute(node) * mp.pi / 180,
    "det": lambda by, rows: mp.det(mp.matrix([by.compute_all(row) for row in rows])),
    "sum": lambda by, *parts: mp.fsum(_list_terms(by, *parts)), "int": _integrate,
    "prod": lambda by, *parts: mp.fprod(_list_terms(by, *parts)),
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(mp, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp")},
    **{f"arc{name}": getattr(mp, f"a{name}") for name in ("sin", "cos", "tan", "cot", "sinh", "cosh", "tanh")},
    "arg": mp.arg, "Re": mp.re, "Im": mp.im,
}  # fmt: skip
