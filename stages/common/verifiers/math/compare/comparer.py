"""How two typed answers are compared: one rule for each pair of kinds, and unknown where there is none.

A rule gets two answers in the order of its kinds, whichever is the gold one, and a `Comparer` for their parts. In the
stage's own process formulas are compared by `check_cheaply`, which raises `NeedsAlgebra` where exact numbers do not
decide; `algebra` then runs the same rules in a process that may be killed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.resolve import find_names
from stages.common.verifiers.math.compare.rounding import is_rounding
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.verifier import Decision

Check = Callable[[Node, Node], Decision]
"""Compares two formulas, equations, families or ranges."""


class NeedsAlgebra(Exception):  # noqa: N818 - no error: algebra is asked
    """Exact numbers do not decide."""


_SHAPES = re.compile(
    r"(?:.* beside .*|.* of different (?:lengths|shapes)|words|values of different names"
    r"|equations of other variables)\Z"
)
"""Reasons of a False that says only how the two are written; any other says that two values differ."""


class Comparer(NamedTuple):
    """Compares two answers; `formula_check` compares the formulas in them.

    With `ignores_shape` a False that only says how the two are written is None: what is False then is a contradiction.
    """

    formula_check: Check
    ignores_shape: bool = False

    def check(self, gold: Node, answer: Node) -> Decision:
        """Return the decision on two formulas, equations, families or ranges."""
        return self._weigh(self.formula_check(gold, answer))

    def compare(self, gold: Node, answer: Node) -> Decision:
        """Return the decision on two resolved answers. It does not depend on their order."""
        return self._weigh(self._apply_rule(gold, answer))

    def _weigh(self, decision: Decision) -> Decision:
        is_shape = self.ignores_shape and decision[0] is False and _SHAPES.match(decision[1])
        return (None, decision[1]) if is_shape else decision

    def _apply_rule(self, gold: Node, answer: Node) -> Decision:
        if gold == answer:
            return True, "same formula"
        first, second = find_kind(gold), find_kind(answer)
        if (first, second) in RULES:
            return RULES[first, second](gold, answer, self)
        if (second, first) in RULES:
            return RULES[second, first](answer, gold, self)
        for kind in sorted((first, second)):
            if (kind, "any") in RULES:
                pair = (gold, answer) if kind == first else (answer, gold)
                return RULES[kind, "any"](*pair, self)
        return None, f"{' beside '.join(sorted((first, second)))}"

    def compare_in_order(self, gold: tuple[Node, ...], answer: tuple[Node, ...], reason: str) -> Decision:
        """Return the decision on items in their order."""
        if len(gold) != len(answer):
            return False, f"{reason} of different lengths"
        return join_all((self.compare(*pair) for pair in zip(gold, answer, strict=True)), reason)

    def compare_unordered(
        self, gold: tuple[Node, ...], answer: tuple[Node, ...], reason: str, is_set: bool = False
    ) -> Decision:
        """Return the decision on items in any order: True if each has a partner, False if one can have none."""
        if is_set or "tuple" in {one.kind for one in gold + answer}:
            gold, answer = tuple(dict.fromkeys(gold)), tuple(dict.fromkeys(answer))
        if not gold or not answer:
            return not gold and not answer, f"{reason} of different lengths"
        values = [[self.compare(one, other)[0] for other in answer] for one in gold]
        columns = list(zip(*values, strict=True))
        if any(all(value is False for value in line) for line in (*values, *columns)):
            return False, reason
        if not is_set and len(gold) != len(answer):
            is_plain = len(set(gold)) == len(gold) and len(set(answer)) == len(answer)
            return (False if is_plain else None), f"{reason} of different lengths"
        partners: set[int] = set()
        for line in values:
            index = next((i for i, value in enumerate(line) if value and (is_set or i not in partners)), None)
            if index is None:
                return None, reason
            partners.add(index)
        return (all(True in line for line in columns) or None), reason


Rule = Callable[[Node, Node, Comparer], Decision]
RULES: dict[tuple[str, str], Rule] = {}
"""Rules by the kinds of the two answers; "any" is a kind that no other rule takes."""

FORMULAS = frozenset({
    "num", "name", "word", "points", "const", "add", "mul", "div", "pow", "neg", "root", "call", "apply", "abs",
    "floor", "ceil", "fact", "fact2", "binom", "det", "sum", "prod", "int", "lim", "pm", "mp",
})  # fmt: skip


def register(*kinds: tuple[str, str]) -> Callable[[Rule], Rule]:
    """Return a decorator that enters a rule for each pair of kinds."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return enter


def find_kind(node: Node) -> str:
    """Return the kind of an answer; all formulas are one."""
    return "formula" if node.kind in FORMULAS else node.kind


def join_all(decisions: Iterable[Decision], reason: str) -> Decision:
    """Return True if all are, False if any is, None otherwise."""
    values = [value for value, _ in decisions]
    return (False if False in values else None if None in values else True), reason


_NAMES = frozenset({"name", "word", "points"})
_NUMBERS = frozenset({Node("name", ("e",)), Node("name", ("i",))})
"""Names that are numbers."""


def check_cheaply(gold: Node, answer: Node) -> Decision:
    """Compare two formulas by exact numbers and by their text; raise `NeedsAlgebra` where these do not decide."""
    if gold == answer:
        return True, "same formula"
    first, second = find_exact(gold), find_exact(answer)
    if first is not None and second is not None:
        if first == second:
            return True, "exact numbers"
        return (
            (True, "rounded") if is_rounding(gold, second) or is_rounding(answer, first) else (False, "exact numbers")
        )
    kinds = {"formula" if one in _NUMBERS else one.kind for one in (gold, answer)}
    if kinds <= _NAMES:
        return _compare_names(gold, answer)
    if kinds & _NAMES and (first is not None or second is not None):
        is_open = "word" in kinds or any(one.kind == "name" and one.args[0] in "ABCDEFGHIJ" for one in (gold, answer))
        return (None if is_open else False), "a name beside a number"
    ends = {find_infinity(gold), find_infinity(answer)}
    if ends != {None}:
        return (len(ends) == 1 or (None if find_names((gold, answer)) else False)), "infinity"
    raise NeedsAlgebra


def find_infinity(node: Node) -> int | None:
    """Return the sign of an infinity, None for any other formula."""
    if node == Node("const", ("inf",)):
        return 1
    return -1 if node == Node("neg", (Node("const", ("inf",)),)) else None


def _compare_names(gold: Node, answer: Node) -> Decision:
    """Compare names; letters have their order and case, but the sides of an angle may be swapped."""
    marks = [one.args[0] if one.kind == "points" else one.kind for one in (gold, answer)]
    first, second = (
        str(one.args[0]) if isinstance(one, Node) else str(one) for one in (gold.args[-1], answer.args[-1])
    )
    if marks[0] != marks[1]:
        return (None if first.casefold() == second.casefold() or "word" in marks else False), "names"
    is_turned = first == second[::-1]
    if is_turned and marks[0] in ("angle", "overline"):
        return True, "names"
    # AB and BA may be a segment or product, which is one, or words, which are two.
    is_open = is_turned and len(first) == 2 and first.isupper() and marks[0] == "name"
    return (None if is_open or (marks[0] == "triangle" and sorted(first) == sorted(second)) else False), "names"
