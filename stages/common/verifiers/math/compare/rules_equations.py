"""Rules for values of names, equations, inequalities and ranges of real numbers."""

from __future__ import annotations

from typing import Any

from stages.common.verifiers.math.compare.comparer import FORMULAS, Comparer, find_infinity, join_all, register
from stages.common.verifiers.math.compare.resolve import find_names, make_interval, rename
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.verifier import Decision


@register(("assign", "assign"))
def compare_assignments(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Values of the same name; functions may have another argument, and y = 2x is x = y/2."""
    (first, value), (second, other) = gold.args, answer.args
    if first == second or "word" in (first.kind, second.kind):
        return by.compare(value, other)
    called, also = _find_argument(first), _find_argument(second)
    if called is not None and also is not None:
        (function, old), (second_function, new) = called, also
        if old in _list_names(other) - {new}:
            return None, "arguments"
        decision = by.compare(value, rename(other, new, old))
        return decision if function == second_function or decision[0] is False else (None, "functions of other names")
    if {first.kind, second.kind} <= {"apply", "name"} and first.args[0] == second.args[0]:
        decision = by.compare(value, other)
        return (None, "another argument") if first.kind == second.kind and decision[0] else decision
    if first.kind == second.kind == value.kind == other.kind == "tuple" and {*first.args[1]} == {*second.args[1]}:
        pairs = [sorted(zip(names.args[1], items.args[1], strict=False)) for names, items in (gold.args, answer.args)]
        values = [tuple(item for _, item in pair) for pair in pairs]
        return by.compare_in_order(values[0], values[1], "values of unknowns")
    if find_names((value, other)):
        return by.check(Node("equation", gold.args), Node("equation", answer.args))
    return (None if by.compare(value, other)[0] is None else False), "values of different names"


def _find_argument(name: Node) -> tuple[str, Node] | None:
    """Return the function and the argument of f(t), and the letter and the index of a_n."""
    if name.kind == "apply" and name.args[1].kind == "name":
        return name.args
    letter, _, index = str(name.args[0]).partition("_") if name.kind == "name" else ("", "", "")
    return (letter, Node("name", (index,))) if len(index) == 1 and index.isalpha() else None


def _list_names(node: Any) -> set[Node]:
    if isinstance(node, Node) and node.kind == "name":
        return {node}
    return set().union(*map(_list_names, node)) if isinstance(node, tuple) else set()


@register(("assign", "any"))
def compare_assignment_with(assigned: Node, other: Node, by: Comparer) -> Decision:
    """An assigned value is the value alone."""
    name, value = assigned.args
    if other.kind == "equation":
        return by.check(Node("equation", assigned.args), other)
    return by.compare(value, other.args[1] if other.kind == "region" and other.args[0] == name else other)


@register(("equation", "any"))
def compare_equation_with(equation: Node, other: Node, by: Comparer) -> Decision:
    """An equation that is not solved is no number, but may be the step whose side is meant: 2x = 20 games."""
    is_value = other.kind == "quantity" or (other.kind in FORMULAS and other.kind != "word")
    is_side = is_value and any(side.kind == "quantity" and by.compare(side, other)[0] for side in equation.args)
    return (False if is_value and not is_side else None), f"an equation beside {other.kind}"


@register(("region", "region"))
def compare_regions(gold: Node, answer: Node, by: Comparer) -> Decision:
    (first, one), (second, other) = gold.args, answer.args
    decision = compare_ranges(one, other, by)
    is_named = first is not None and second is not None and first != second
    return (None, "ranges of different names") if is_named and decision[0] else decision


def compare_ranges(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Compare sets of real numbers: two intervals by their ends, unions by their parts, others by algebra."""
    if gold == answer:
        return True, "same range"
    if gold.kind == answer.kind == "interval":
        return join_all((_compare_ends(gold, answer, end, by) for end in (0, 1)), "intervals")
    if gold.kind == answer.kind == "set":
        return by.compare(gold, answer)
    if gold.kind == answer.kind == "union":
        parts, others = _list_parts(gold), _list_parts(answer)
        found = [[compare_ranges(part, other, by)[0] for other in others] for part in parts]
        if all(line.count(True) == 1 for line in (*found, *zip(*found, strict=True))):
            return True, "ranges"
    return by.check(Node("region", (None, gold)), Node("region", (None, answer)))


def _list_parts(node: Node) -> tuple[Node, ...]:
    return _list_parts(node.args[0]) + _list_parts(node.args[1]) if node.kind == "union" else (node,)


def _compare_ends(gold: Node, answer: Node, end: int, by: Comparer) -> Decision:
    decision = by.compare(gold.args[end], answer.args[end])
    if decision[0] and find_infinity(gold.args[end]) is None and gold.args[2 + end] != answer.args[2 + end]:
        return False, "an end belongs to one interval only"
    return decision


@register(("region", "any"))
def compare_region_with(region: Node, other: Node, by: Comparer) -> Decision:
    """A range beside a pair, which may be an interval, a set, inequalities or a value."""
    inside = region.args[1]
    if (interval := make_interval(other)) is not None:
        return compare_ranges(inside, interval, by)
    if inside.kind == "set" and other.kind in ("list", "set", *FORMULAS):
        return by.compare(inside, other)
    if other.kind in ("inequality", "system", "set"):
        return by.check(region, other)
    is_value = other.kind in ("num", "neg", "div", "root", "mul", "add", "const", "quantity")
    return (False if is_value and inside.kind != "set" else None), f"a range beside {other.kind}"


@register(("inequality", "inequality"), ("inequality", "system"), ("system", "system"))
def compare_inequalities(gold: Node, answer: Node, by: Comparer) -> Decision:
    return by.check(gold, answer)


@register(("inequality", "tuple"), ("system", "tuple"))
def compare_inequality_with_pair(inequality: Node, pair: Node, by: Comparer) -> Decision:
    interval = make_interval(pair)
    if interval is None:
        return None, "inequalities beside a point"
    return by.check(inequality, Node("region", (None, interval)))


@register(*((kind, kind) for kind in ("and", "inter", "or", "union")))
def compare_operations(gold: Node, answer: Node, _: Comparer) -> Decision:
    """Sets and statements with names are compared by their form; the sides of a union may be swapped."""
    is_same = str(_sort_sides(gold)) == str(_sort_sides(answer))
    return (is_same or None), "same form" if is_same else "sets that cannot be computed"


def _sort_sides(node: Any) -> Any:
    if not isinstance(node, Node):
        return tuple(map(_sort_sides, node)) if type(node) is tuple else node
    args = tuple(map(_sort_sides, node.args))
    return Node(node.kind, tuple(sorted(args, key=str)) if node.kind in ("union", "inter", "and", "or") else args)


@register(("builder", "builder"))
def compare_builders(gold: Node, answer: Node, by: Comparer) -> Decision:
    if gold.args[0] != answer.args[0]:
        return None, "sets of other forms"
    return (by.compare(gold.args[1], answer.args[1])[0] or None), "sets of the same form"


@register(("family", "family"))
def compare_families(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Values for all integers, with one name for the integer."""
    (first, names, sets), (second, others, other_sets) = gold.args, answer.args
    if sets != other_sets:
        return None, "families of different integers"
    if first.kind == second.kind == "assign" and first.args[0] != second.args[0]:
        return None, "families of different names"
    if len(names) != 1 or len(others) != 1:
        return None, "families of several integers"
    integer = Node("name", ("integer",))
    values = (one.args[1] if one.kind == "assign" else one for one in (first, second))
    renamed = (rename(one, Node("name", name), integer) for one, name in zip(values, (names, others), strict=True))
    return by.check(*(Node("family", (one,)) for one in renamed))


@register(("family", "any"))
def compare_family_with(family: Node, other: Node, by: Comparer) -> Decision:
    return (by.compare(family.args[0], other)[0] or None), "a family of values beside one formula"
