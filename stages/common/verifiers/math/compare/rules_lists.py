"""Rules for lists, sets, points, matrices and options."""

from __future__ import annotations

from typing import Any

from stages.common.verifiers.math.compare.comparer import FORMULAS, Comparer, find_infinity, register
from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.numbers import SCALE_LETTERS
from stages.common.verifiers.math.compare.resolve import find_names, make_interval, rename
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.verifier import Decision

_JOINED = frozenset({"assign", "words", "name", "option"})
"""Kinds of which two are another answer with "and" than with "or"."""

_LETTERS = frozenset("ABCDEFGHIJ")


_ARBITRARY = (frozenset("klmnj"), frozenset("CcKk"))
"""Letters that problems leave to the answer: of an integer, and of a constant."""


@register(("formula", "formula"), ("equation", "equation"))
def compare_formulas(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Formulas by their values; equal ones with another letter for an integer or a constant are unknown: 2k, 2n.

    So is a letter that may be a scale: 5k beside 5000.
    """
    if _is_scaled(gold, answer) or _is_scaled(answer, gold):
        return None, "a letter or a scale"
    decision = by.check(gold, answer)
    letters = _find_other_letter(gold, answer) if decision[0] is False and gold.kind != "name" else None
    if letters is None:
        return decision
    renamed = rename(answer, Node("name", (letters[1],)), Node("name", (letters[0],)))
    return decision if by.check(gold, renamed)[0] is False else (None, "another letter")


def _is_scaled(node: Node, other: Node) -> bool:
    letters = ""
    while node.kind == "mul" and node.args[1].kind == "name":
        node, letters = node.args[0], node.args[1].args[0] + letters
    value = find_exact(node) if letters in SCALE_LETTERS else None
    return value is not None and find_exact(other) == value * SCALE_LETTERS[letters]


def _find_other_letter(gold: Node, answer: Node) -> tuple[str, str] | None:
    """Return the one letter that each formula alone has, if both may stand for any integer or constant."""
    first, second = find_names(gold), find_names(answer)
    letters = tuple(first - second), tuple(second - first)
    is_arbitrary = any({*letters[0], *letters[1]} <= one for one in _ARBITRARY)
    return (letters[0][0], letters[1][0]) if is_arbitrary and len(letters[0]) == len(letters[1]) == 1 else None


@register(("list", "list"))
def compare_lists(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Lists are equal in any order; values of unknowns go by name."""
    first, second = gold.args[0], answer.args[0]
    if {gold.args[1], answer.args[1]} == {"and", "or"} and any(one.kind in _JOINED for one in first + second):
        return None, "and beside or"
    named = [[one for one in items if one.kind == "assign"] for items in (first, second)]
    if len(named[0]) == len(first) and len(named[1]) == len(second):
        return _compare_values_by_name(first, second, by)
    if named[0] or named[1]:
        return _compare_named(first, second, by)
    return by.compare_unordered(first, second, "lists")


def _compare_values_by_name(gold: tuple[Node, ...], answer: tuple[Node, ...], by: Comparer) -> Decision:
    names = [tuple(sorted(one.args[0] for one in items)) for items in (gold, answer)]
    if names[0] != names[1] or len(set(names[0])) < len(names[0]):
        return by.compare_unordered(gold, answer, "equations")
    pairs = [tuple(one.args[1] for one in sorted(items)) for items in (gold, answer)]
    return by.compare_in_order(pairs[0], pairs[1], "values of unknowns")


def _compare_named(gold: tuple[Node, ...], answer: tuple[Node, ...], by: Comparer, is_tuple: bool = False) -> Decision:
    """Compare values of several unknowns with bare values, which are in the order of the names or as written.

    A point has the order of x, y and z, a list that of the other answer, and where the orders do not agree it is
    unknown which was meant.
    """
    named, bare = (gold, answer) if gold[0].kind == "assign" else (answer, gold)
    if not all(one.kind == "assign" for one in named) or len(named) != len(bare):
        return by.compare_unordered(gold, answer, "lists")
    orders = (named, tuple(sorted(named)))
    written, by_name = (by.compare_in_order(tuple(one.args[1] for one in order), bare, "")[0] for order in orders)
    is_point = all(one.args[0].args[0] in ("x", "y", "z") for one in named)
    is_sure = written is by_name or (is_point and by_name) or (written and not is_point and not is_tuple)
    return ((written or by_name) if is_sure else None), "values of unknowns"


@register(("list", "tuple"))
def compare_list_with_point(listed: Node, point: Node, by: Comparer) -> Decision:
    """A list without brackets may be a point, in its order."""
    items, coordinates = listed.args[0], point.args[1]
    if items and items[0].kind == "assign":
        return _compare_named(items, coordinates, by, is_tuple=True)
    if any(one.kind == "tuple" for one in items):
        return by.compare_unordered(items, (point,), "points")
    decision = by.compare_in_order(items, coordinates, "coordinates")
    if decision[0] and len(items) == 2 and point.args[0] != "()":
        return None, "two values or an interval"
    if decision[0] is not False or len(items) != len(coordinates):
        return decision
    return (None if by.compare_unordered(items, coordinates, "")[0] is not False else False), "another order"


@register(("set", "set"))
def compare_sets(gold: Node, answer: Node, by: Comparer) -> Decision:
    return by.compare_unordered(gold.args, answer.args, "sets", is_set=True)


@register(("list", "set"))
def compare_list_with_set(listed: Node, other: Node, by: Comparer) -> Decision:
    return by.compare_unordered(listed.args[0], other.args, "sets", is_set=True)


@register(("tuple", "tuple"))
def compare_points(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Coordinates in their order; of two numbers the brackets count, since they may be intervals."""
    decision = by.compare_in_order(gold.args[1], answer.args[1], "coordinates")
    first, second = make_interval(gold), make_interval(answer)
    if first is None or second is None or decision[0] is False:
        return decision
    for end in (0, 1):
        if find_infinity(first.args[end]) is None and first.args[2 + end] != second.args[2 + end]:
            return False, "an end belongs to one interval only"
    return decision


@register(("tuple", "formula"), ("tuple", "quantity"), ("tuple", "set"))
def compare_point_with(point: Node, other: Node, by: Comparer) -> Decision:
    brackets, items = point.args
    if len(items) == 1:
        is_whole = (value := find_exact(items[0])) is not None and value.denominator == 1
        return by.compare(items[0], other) if is_whole else (None, "brackets or a whole part")
    if other.kind == "set" and len(other.args) == 1:
        return by.compare(point, other.args[0])
    is_open = (other.kind == "set" and brackets != "()") or find_names(other) != frozenset() or _holds_i(other)
    return (None if is_open else False), "a point beside another kind"


def _holds_i(node: Any) -> bool:
    """Return whether a formula holds i, which may be a vector as well as a number."""
    return node == Node("name", ("i",)) or (isinstance(node, tuple) and any(map(_holds_i, node)))


@register(("list", "formula"), ("list", "quantity"), ("set", "formula"), ("set", "quantity"))
def compare_values_with(listed: Node, value: Node, by: Comparer) -> Decision:
    """Several values are one only if all of them are; AC may be options that are listed with commas."""
    items = listed.args[0] if listed.kind == "list" else listed.args
    letters = {one.args[0] for one in items if one.kind == "option"}
    if value.kind == "name" and letters and len(letters) == len(items):
        return (set(value.args[0]) == letters if set(value.args[0]) <= _LETTERS else None), "options"
    if listed.kind == "set" and len(items) == 1 and find_names(items[0]):
        return None, "a set or a fractional part"
    values = [by.compare(one, value)[0] for one in items]
    return (False if False in values or not values else None if None in values else True), "several values beside one"


@register(("matrix", "matrix"))
def compare_matrices(gold: Node, answer: Node, by: Comparer) -> Decision:
    first, second = gold.args[0], answer.args[0]
    if [len(row) for row in first] != [len(row) for row in second]:
        return False, "matrices of different shapes"
    return by.compare_in_order(_list_cells(gold), _list_cells(answer), "matrices")


@register(("matrix", "tuple"), ("matrix", "list"))
def compare_matrix_with_point(matrix: Node, point: Node, by: Comparer) -> Decision:
    """A row or column is a point."""
    rows = matrix.args[0]
    if len(rows) > 1 and len(rows[0]) > 1:
        return None, "a matrix beside a point"
    items: tuple[Node, ...] = point.args[-1] if point.kind == "tuple" else point.args[0]
    return by.compare_in_order(_list_cells(matrix), items, "coordinates")


@register(("matrix", "formula"), ("matrix", "quantity"))
def compare_matrix_with(matrix: Node, other: Node, by: Comparer) -> Decision:
    if _holds_matrix(other):
        return by.check(matrix, other)
    cells = _list_cells(matrix)
    return by.compare(cells[0], other) if len(cells) == 1 else (False, "a matrix beside a number")


def _list_cells(matrix: Node) -> tuple[Node, ...]:
    return tuple(cell for row in matrix.args[0] for cell in row)


def _holds_matrix(node: Any) -> bool:
    if isinstance(node, Node) and node.kind == "matrix":
        return True
    return isinstance(node, tuple) and any(map(_holds_matrix, node))


@register(("option", "option"))
def compare_options(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Options by their letters; where both have a text the texts must say the same."""
    is_same, texts = gold.args[0] == answer.args[0], (gold.args[1], answer.args[1])
    if None not in texts and by.compare(*texts)[0] is not is_same:
        return None, "a letter and a text that do not agree"
    return is_same, "options"


@register(("option", "any"))
def compare_option_with(option: Node, other: Node, by: Comparer) -> Decision:
    """An option's text is compared with another answer; a letter alone may be a name."""
    letter, text = option.args
    if text is not None:
        return by.compare(text, other)
    if other.kind == "name":
        is_same = other.args[0].upper() == letter
        return (is_same and letter in "ABCD") or (
            None if is_same and letter == "E" else False
        ), "an option beside a name"
    if (other.kind == "words" and " " not in other.args[0] and other.args[0].isascii()) or (
        other.kind == "list" and len(other.args[0]) > 1
    ):
        return False, "an option beside another kind"
    if other.kind in FORMULAS and letter in find_names(other):
        return by.check(Node("name", (letter,)), other)
    return None, f"an option beside {other.kind}"
