"""What a relation, a list or a sign says: the value of a variable, a set of numbers, several values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.math.compare.units import Unit

REALS = Node("interval", (Node("neg", (Node("const", ("inf",)),)), Node("const", ("inf",)), True, True))

_MAX_SIGNS = 3
"""Plus-or-minus signs of one item that are written out."""

_NAMED = frozenset({"name", "word", "points", "apply"})
_UP, _DOWN = frozenset({"<", "<="}), frozenset({">", ">="})


def resolve(node: Node) -> Node:
    """Return `node` as one of the kinds that are compared.

    New kinds are ``assign`` (a name and its value), ``equation``, ``inequality`` (operators and terms), ``region`` (the
    variable or None, and its set: ``interval``, ``union``, ``minus`` or ``set``) and ``system`` (of inequalities).
    """
    rule: Callable[[Node], Node] | None = _RULES.get(node.kind)
    node = node if rule is None else rule(node)
    if node.kind not in ("list", "tuple", "set", "option", "region") and count_signs(node):
        values = [resolve(one) for one in _write_signs(node)]
        return Node("list", (tuple(values), "and"))
    return node


def find_names(node: Any) -> frozenset[str]:
    """Return the names of the variables in `node`."""
    if isinstance(node, Node):
        if node.kind in ("name", "word"):
            return frozenset() if node.args[0] in ("e", "i") else frozenset(node.args)
        found = frozenset().union(*map(find_names, node.args))
        return found | {str(node)} if node.kind == "points" else found
    return (
        frozenset().union(*map(find_names, node))
        if isinstance(node, tuple) and not isinstance(node, Unit)
        else frozenset()
    )


def rename(node: Any, old: Node, new: Node) -> Any:
    """Return `node` with a name in place of another."""
    if isinstance(node, Node):
        return new if node == old else Node(node.kind, tuple(rename(part, old, new) for part in node.args))
    return tuple(rename(part, old, new) for part in node) if type(node) is tuple else node


def count_signs(node: Any) -> int:
    """Return how many plus-or-minus signs `node` holds."""
    if isinstance(node, Node):
        return (node.kind in ("pm", "mp")) + sum(map(count_signs, node.args))
    return sum(map(count_signs, node)) if isinstance(node, tuple) else 0


def _write_signs(node: Node) -> Iterator[Node]:
    """Yield `node` with every choice of its signs; those of an item with both kinds change together."""
    count = count_signs(node)
    together = "'mp'" in repr(node) or count > _MAX_SIGNS
    for choice in product((1, -1), repeat=1 if together else count):
        yield _set_signs(node, iter(choice * count if together else choice))


def _set_signs(node: Any, signs: Iterator[int]) -> Any:
    if not isinstance(node, Node):
        return tuple(_set_signs(part, signs) for part in node) if type(node) is tuple else node
    if node.kind not in ("pm", "mp"):
        return Node(node.kind, tuple(_set_signs(part, signs) for part in node.args))
    sign = next(signs) * (1 if node.kind == "pm" else -1)
    inside = _set_signs(node.args[0], signs)
    return inside if sign > 0 else Node("neg", (inside,))


def _resolve_relation(node: Node) -> Node:
    operators, terms = node.args
    if set(operators) <= {"=", "~"}:
        return _resolve_equation(operators, terms)
    if len(operators) == 1:
        left, right = terms
        if operators[0] == "in" and left.kind in _NAMED:
            return Node("region", (left, _resolve_set(right)))
        if operators[0] == "notin" and left.kind in _NAMED:
            return Node("region", (left, Node("minus", (REALS, _resolve_set(right)))))
        if (
            operators[0] == "!="
            and (left.kind in _NAMED or right.kind in _NAMED)
            and not find_names(right) & find_names(left)
        ):
            name, value = (left, right) if left.kind in _NAMED else (right, left)
            return Node("region", (name, Node("minus", (REALS, Node("set", (value,))))))
    if set(operators) <= _DOWN:
        operators = tuple(operator.replace(">", "<") for operator in reversed(operators))
        terms = tuple(reversed(terms))
    if not set(operators) <= _UP:
        return Node("relation", (operators, terms))
    return _find_interval(operators, terms) or Node("inequality", (operators, terms))


def _resolve_equation(operators: tuple[str, ...], terms: tuple[Node, ...]) -> Node:
    """Return the value that a chain of equal terms gives a name, the last exact one; else an equation."""
    is_exact_first = "=" in operators or not _is_assignable(terms[0])
    exact = operators.index("~") if "~" in operators and is_exact_first else len(operators)
    first, last = terms[0], terms[exact]
    if find_names(first) and not _is_assignable(first):
        if len(terms) == 2 and _is_assignable(last) and not find_names(first) & find_names(last):
            return Node("assign", (last, resolve(first)))
        return Node("equation", (first, last))
    if _is_assignable(first):
        if find_names(first) & find_names(last) and first.kind != "apply":
            return Node("equation", (first, last))
        return Node("assign", (first, resolve(last)))
    if not find_names(last):
        return resolve(last)  # 4! = 24
    return Node("assign", (last, resolve(first))) if _is_assignable(last) else Node("equation", (first, last))


def _is_assignable(node: Node) -> bool:
    """Return whether a value may be given to `node`: a name, f(x), a ratio or tuple of names, |AB|, angle ABC."""
    if node.kind in ("ratio", "div", "abs", "mul"):
        marked = [part for part in node.args if part.kind == "points"]
        sure = node.kind != "mul" or (len(node.args) == 2 and len(marked) == 1 and node.args[0] == Node("name", ("m",)))
        capital = node.kind not in ("abs", "div") or all(str(part.args[0]).isupper() for part in node.args)
        return sure and capital and all(part.kind in _NAMED for part in node.args)
    if node.kind == "tuple":
        return all(_is_assignable(part) for part in node.args[1])
    return node.kind in _NAMED


def _find_interval(operators: tuple[str, ...], terms: tuple[Node, ...]) -> Node | None:
    """Return the interval of the one name between or beside constants, for rising operators."""
    named = [index for index, side in enumerate(terms) if side.kind in ("name", "apply")]
    if len(named) != 1 or len(terms) > 3 or any(find_names(side) for i, side in enumerate(terms) if i != named[0]):
        return None
    (index,) = named
    if len(terms) == 3 and index != 1:
        return None
    low = (terms[index - 1], operators[index - 1] == "<") if index > 0 else (REALS.args[0], True)
    high = (terms[index + 1], operators[index] == "<") if index + 1 < len(terms) else (REALS.args[1], True)
    return Node("region", (terms[index], Node("interval", (low[0], high[0], low[1], high[1]))))


def make_interval(node: Node) -> Node | None:
    """Return a pair in any brackets as an interval."""
    if node.kind != "tuple" or len(node.args[1]) != 2:
        return None
    brackets, (low, high) = node.args
    return Node("interval", (low, high, brackets[0] in "(]", brackets[1] in ")["))


def _resolve_set(node: Node) -> Node:
    if node.kind in ("union", "minus", "inter"):
        return Node(node.kind, tuple(map(_resolve_set, node.args)))
    if node.kind == "number set" and node.args[0].strip("{}") == "R":
        return REALS
    inside = resolve(node) if node.kind == "builder" else node
    return make_interval(node) or (inside.args[1] if inside.kind == "region" else node)


def _resolve_builder(node: Node) -> Node:
    element, condition = node.args
    if element.kind == "rel" and element.args[0] == ("in",):
        element = element.args[1][0]
    inside = resolve(Node("list", (condition.args, ",")) if condition.kind == "list" else condition)
    if element.kind == "name" and inside.kind in ("region", "inequality", "system", "assign"):
        return inside
    return Node("builder", (element, inside))


def _resolve_list(node: Node) -> Node:
    items, joiner = node.args
    resolved: list[Node] = []
    for item in items:
        one = resolve(item)
        resolved += one.args[0] if one.kind == "list" and item.kind != "list" else (one,)
    kinds = {one.kind for one in resolved}
    if kinds <= {"region", "inequality", "system"}:
        return Node("system", (joiner, tuple(resolved)))
    names = {_find_base(one.args[0]) for one in resolved if one.kind == "assign"}
    if (
        len(names) == 1 and "assign" in kinds and all(one.kind == "assign" or not find_names(one) for one in resolved)
    ):  # x = 3 or x = -3, x_1 = 3, x_2 = -3, and x = 3, -3
        values = tuple(one.args[1] if one.kind == "assign" else one for one in resolved)
        return Node(
            "list", (tuple(part for one in values for part in (one.args[0] if one.kind == "list" else (one,))), "and")
        )
    return Node("list", (tuple(resolved), joiner))


def _find_base(name: Node) -> str:
    """Return the letter of a name, of f(x) and of x_1."""
    return str(name.args[0]).split("_")[0] if name.kind in ("name", "apply") else str(name)


def _resolve_quantity(node: Node) -> Node:
    value, unit = node.args
    if value.kind == "rel":
        operators, terms = value.args
        return resolve(Node("rel", (operators, (*terms[:-1], Node("quantity", (terms[-1], unit))))))
    if count_signs(value):
        return Node("list", (tuple(Node("quantity", (one, unit)) for one in _write_signs(value)), "and"))
    return node


def _resolve_items(node: Node) -> Node:
    if node.kind == "tuple":
        brackets, items = node.args
        return Node("tuple", (brackets, tuple(map(resolve, items))))
    parts: list[Node] = []
    for item in node.args:
        one = resolve(item)
        parts += one.args[0] if one.kind == "list" else (one,)
    return Node("set", tuple(parts))


_RULES: dict[str, Callable[[Node], Node]] = {
    "rel": _resolve_relation, "builder": _resolve_builder, "list": _resolve_list, "quantity": _resolve_quantity,
    "set": _resolve_items, "tuple": _resolve_items,
    "union": lambda node: Node("region", (None, _resolve_set(node))) if not find_names(node) else node,
    "minus": lambda node: Node("region", (None, _resolve_set(node))) if not find_names(node) else node,
    "number set": lambda node: Node("region", (None, REALS)) if node.args[0].strip("{}") == "R" else node,
    "deg": lambda node: Node("quantity", (node.args[0], Unit(dimensions=(("degree", 1),)))),
    "pct": lambda node: Node("quantity", (node.args[0], Unit(is_percent=True))),
    "option": lambda node: Node("option", (node.args[0], None if node.args[1] is None else resolve(node.args[1]))),
    "family": lambda node: Node("family", (resolve(node.args[0]), *node.args[1:])),
}  # fmt: skip
