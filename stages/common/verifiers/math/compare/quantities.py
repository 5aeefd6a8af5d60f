"""Numbers with units and words behind them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from stages.common.verifiers.math.compare.comparer import Comparer, register
from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.math.compare.units import MONEY, Unit, is_ambiguous, is_contrast, is_conversion
from stages.common.verifiers.verifier import Decision


@register(("quantity", "quantity"), ("quantity", "formula"))
def compare_quantities(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Compare two quantities, or one with a formula.

    - Units convert; two that measure different things make different answers. One on one side only is passed over, but
      a number that is the same amount in another unit is unknown: 2 hours beside 120.
    - The same words, or words on one side only, are passed over, but not those that change the value: increase, west.
    - Two different words are unknown, or different answers if they are of one class: increase and decrease.
    - A percentage is its number with or without the division by 100; two percentages must agree.
    """
    (first, unit), (second, other) = (_split(one) for one in (gold, answer))
    if unit.words != other.words and is_contrast(unit.words, other.words):
        return _negate_same(first, second, by)
    letters = {word for word in unit.words ^ other.words if len(word) == 1}
    if unit.changing != other.changing or letters:
        return None, f"only one says {', '.join(sorted((unit.changing ^ other.changing) | letters))}"
    if unit.words and other.words and not (unit.words <= other.words or other.words <= unit.words):
        return None, f"{' '.join(sorted(unit.words))} beside {' '.join(sorted(other.words))}"
    if (unit.is_percent and other.dimensions) or (other.is_percent and unit.dimensions):
        return False, "a unit beside a percentage"
    if unit.dimensions and other.dimensions:
        if unit.dimensions != other.dimensions:
            if _list_amounts(unit) == _list_amounts(other) != ():
                return None, "a rate beside an amount"
            return _compare_angles(first, unit, second, other, by)
        if unit.before != other.before:
            return None, f"only one says {', '.join(sorted(unit.before ^ other.before))}"
        return by.compare(_scale(first, unit, unit.size / other.size), _scale(second, other))[0], "units"
    if (unit.dimensions and other.words) or (other.dimensions and unit.words):
        return None, "a unit beside other words"
    return _compare_bare(_scale(first, unit), unit, _scale(second, other), other, by)


def _split(node: Node) -> tuple[Node, Unit]:
    return node.args if node.kind == "quantity" else (node, Unit())


def _list_amounts(unit: Unit) -> tuple[tuple[str, int], ...]:
    """Return what a unit with money measures, without what it is per."""
    return tuple(base for base in unit.dimensions if base[1] > 0 and base[0] in MONEY)


def _negate_same(first: Node, second: Node, by: Comparer) -> Decision:
    """A profit of 5 is no loss of 5, but may be a loss of -5."""
    opposite = by.compare(first, Node("neg", (second,)))[0]
    return (False if opposite is False else None), "opposite words"


def _compare_bare(first: Node, unit: Unit, second: Node, other: Unit, by: Comparer) -> Decision:
    """Compare where at most one side has a unit or words."""
    decision = by.compare(first, second)
    if unit.is_percent != other.is_percent:
        values = [decision[0]]
        whole, part = (first, second) if unit.is_percent else (second, first)
        values.append(by.compare(_multiply(whole, Fraction(1, 100)), part)[0])
        return (True if True in values else None if None in values else False), "percent"
    if (unit.is_letter or other.is_letter) and decision[0] and unit.dimensions != other.dimensions:
        return None, "a unit or a variable"
    angle = next((one for one in (unit, other) if one.dimensions == (("degree", 1),)), None)
    if angle is not None and decision[0] is False and _holds_pi(first) != _holds_pi(second):
        degrees, radians = (first, second) if unit is angle else (second, first)
        return by.compare(_turn(degrees), radians)[0], "degrees in radians"
    return (None, "another unit") if decision[0] is False and _may_convert(first, unit, second, other) else decision


def _may_convert(first: Node, unit: Unit, second: Node, other: Unit) -> bool:
    """Return whether a number without a unit may be the other amount in another unit."""
    (bare, amount), with_unit = ((first, second), other) if other.dimensions else ((second, first), unit)
    quotient = _divide(bare, amount)
    return quotient is not None and is_conversion(with_unit, quotient)


def _divide(first: Node, second: Node) -> Fraction | None:
    values = find_exact(first), find_exact(second)
    return values[0] / values[1] if values[0] is not None and values[1] else None


def _compare_angles(first: Node, unit: Unit, second: Node, other: Unit, by: Comparer) -> Decision:
    names = unit.dimensions[0][0], other.dimensions[0][0]
    if set(names) == {"degree", "radian"} and len(unit.dimensions) == len(other.dimensions) == 1:
        degrees, radians = (first, second) if names[0] == "degree" else (second, first)
        return by.compare(_turn(degrees), radians)[0], "degrees in radians"
    if is_ambiguous(unit, other, _divide(first, second)):
        return None, "units that have one name"
    return False, "units differ"


def _turn(degrees: Node) -> Node:
    return Node("mul", (degrees, Node("div", (Node("const", ("pi",)), _make(Fraction(180))))))


def _holds_pi(node: Any) -> bool:
    return node == ("const", ("pi",)) or (isinstance(node, tuple) and any(map(_holds_pi, node)))


def _make(value: Fraction) -> Node:
    return Node("num", (value, None, 0))


def _scale(node: Node, unit: Unit, size: Fraction = Fraction(1)) -> Node:
    """Return the value in the other's unit, dozens and thirds counted, and "squared" as a power."""
    node = _multiply(node, unit.factor * size)
    return node if unit.power == 1 else Node("pow", (node, _make(Fraction(unit.power))))


def _multiply(node: Node, factor: Fraction) -> Node:
    if factor == 1:
        return node
    if node.kind == "num":
        value, last_digit, digits = node.args
        return Node("num", (value * factor, None if last_digit is None else last_digit * factor, digits))
    value = find_exact(node)
    return Node("mul", (node, _make(factor))) if value is None else _make(value * factor)
