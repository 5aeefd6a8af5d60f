"""Chains of equal sides with units or money, such as 2 * 50g = 100g and x = $40: their last side is the answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from stages.common.verifiers.math.compare.answer_text import TEXT
from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.formula import read_formula
from stages.common.verifiers.math.compare.special_forms import is_label
from stages.common.verifiers.math.compare.tokens import Node, ReadError
from stages.common.verifiers.math.compare.units import Unit

_NAME = re.compile(r"\\?[A-Za-z]+(?:_(?:\w|\{\w+\}))?")
_LABELS = re.compile(
    r"(?<=[\d)}])(?: ?/? ?(?:\\text ?\{[^{}]*\}|[A-Za-z]+(?:['&-][A-Za-z]+)*)(?:\^ ?(?:\{\d\}|\d(?!\d)))?)+|\\\$"
)
"""Units and words behind a number, and signs of money."""


def read_chain(text: str, read_item: Callable[[str], Node]) -> Node | None:
    """Return the last side of a chain with units, or the name before it and that side; None if `text` is none.

    Sides before the last must be numbers with units. If one has another value than the last the chain is a ``phrase``,
    which is equal to nothing; a letter behind a number may then be a variable, and the chain an equation.
    """
    *sides, written = text.split("=")
    if not sides or re.search(r"[<>,;]|\\(?:approx|leq|geq|neq)", re.sub(r"\d,\d{3}", "", text)):
        return None
    name = sides.pop(0) if _NAME.fullmatch(sides[0]) else None
    labels = [label for side in sides for label in _LABELS.findall(side)]
    runs = [run for label in labels for run in re.findall(r"[A-Za-z]+", TEXT.sub(r" \1 ", label))]
    letters = {run for run in runs if len(run) == 1}
    try:
        last = read_item(written)
        if last.kind != "quantity" and not (labels and find_exact(last) is not None):
            return None
        if not all(map(is_label, runs)) or (letters and not _is_computed(sides, written, letters, last)):
            return None
        values = [_find_value(side, last, read_item) for side in sides]
        first = read_formula(name) if name else None
    except ReadError:
        return None
    if None in values:
        return None
    if not all(_is_same(value, last) for value in values if value is not None):
        return None if letters else Node("phrase", (text,))
    return last if first is None else Node("rel", (("=",), (first, last)))


def _is_computed(sides: list[str], written: str, letters: set[str], last: Node) -> bool:
    """Return whether letters behind the numbers of `sides` are units: 3*4m = 12m, but not 2m = 4 and 2m = 2g."""
    is_known = last.kind == "quantity" and (not last.args[1].is_letter or set(written) & letters != set())
    return is_known and all(len(re.findall(r"\d+(?:\.\d+)?", side)) > 1 for side in sides)


def _find_value(side: str, last: Node, read_item: Callable[[str], Node]) -> Fraction | None:
    """Return the value of a side in the unit of the last one if it has one unit, else of its numbers alone."""
    try:
        node = read_item(side)
    except ReadError:
        node = Node("phrase", (side,))
    if node.kind == "quantity" and last.kind == "quantity" and node.args[1].dimensions == last.args[1].dimensions:
        value = find_exact(node.args[0])
        return None if value is None else value * _find_size(node.args[1]) / last.args[1].size
    return find_exact(read_formula(_LABELS.sub("", side).strip()))


def _find_size(unit: Unit) -> Fraction:
    return unit.size * unit.factor


def _is_same(value: Fraction, last: Node) -> bool:
    """Return whether a side's value is the last side's, which may be rounded to its last digit."""
    node, unit = last.args if last.kind == "quantity" else (last, Unit())
    written = find_exact(node)
    if written is None:
        return False
    digit = (node.args[1] if node.kind == "num" else None) or Fraction(int(value.denominator > 1))
    values = (value / unit.factor, value * 100) if unit.is_percent else (value / unit.factor,)
    return any(one == written or abs(one - written) < digit for one in values)
