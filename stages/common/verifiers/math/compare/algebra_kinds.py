"""How algebra compares equations, inequalities, ranges, families of values and matrices."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from mpmath import mp

from stages.common.verifiers.math.compare.comparer import Check, Comparer
from stages.common.verifiers.math.compare.evaluate import Evaluator, UndefinedError, make_points, read_fraction
from stages.common.verifiers.math.compare.resolve import find_names
from stages.common.verifiers.math.compare.sympy_sets import NotComputedError, compare_sets, find_limit
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.verifier import Decision

_DIGITS = 50
_CLOSE = 1e-30
"""Relative difference of values that are one."""

_MIN_POINTS = 6
_STARTS = (0.3, -1.7, 4.1)
"""Where the search for a solution starts."""


def _is_near(first: Any, second: Any, scale: Any = 0) -> bool:
    return bool(abs(first - second) <= _CLOSE * max(abs(first), abs(second), scale))


def _subtract(left: Node, right: Node) -> Node:
    return Node("add", (left, Node("neg", (right,))))


def _check_equations(gold: Node, answer: Node, _: Check) -> Decision:
    """Compare equations: one is a multiple of the other, or both hold at the same points; a point solves one only."""
    first, second = _subtract(*gold.args), _subtract(*answer.args)
    names = find_names(first)
    if not names or names != find_names(second):
        is_other = names and find_names(second) and not names & find_names(second)
        return (False, "equations of other variables") if is_other else (None, "equations of other variables")
    ratios = _list_ratios(first, second, names)
    if len(ratios) >= _MIN_POINTS and ratios[0] != 0 and all(_is_near(ratio, ratios[0]) for ratio in ratios):
        return True, "one equation is a multiple of the other"
    counts = []
    for one, other in ((first, second), (second, first)):
        solutions = _find_solutions(one, names)
        if any(_solves(other, point) is False for point in solutions):
            return False, "a solution of one equation only"
        counts.append(sum(_solves(other, point) is True for point in solutions))
    is_enough = min(counts) >= _MIN_POINTS and len(names) > 1
    return (True, "equations with the same solutions") if is_enough else (None, "equations")


def _list_ratios(first: Node, second: Node, names: frozenset[str]) -> list[Any]:
    ratios = []
    with mp.workdps(_DIGITS):
        for _, point in make_points(names):
            try:
                ratios.append(Evaluator(point).compute(first) / Evaluator(point).compute(second))
            except (UndefinedError, ZeroDivisionError):
                continue
    return ratios


def _find_solutions(formula: Node, names: frozenset[str]) -> list[dict[str, Any]]:
    """Return real points at which `formula` is 0: one variable is solved for, the others are drawn."""
    found: list[dict[str, Any]] = []
    for index, (kind, point) in enumerate(make_points(names)):
        if kind == "complex":
            break
        name = sorted(names)[index % len(names)]

        def compute(x: Any, name: str = name, point: dict[str, Any] = point) -> Any:
            return Evaluator({**point, name: read_fraction(mp.re(x))}).compute(formula)

        for start in _STARTS:
            with mp.workdps(_DIGITS):
                try:
                    root = mp.findroot(compute, (start, start + 0.5), solver="secant", maxsteps=60)
                except (UndefinedError, ValueError, ZeroDivisionError):
                    continue
                solution = {**point, name: read_fraction(mp.re(root))}
            if _solves(formula, solution):
                found.append(solution)
    return found


def _solves(formula: Node, point: dict[str, Any]) -> bool | None:
    """Return whether `formula` is 0 at the point, None where it has no real value."""
    with mp.workdps(_DIGITS):
        by = Evaluator(point)
        try:
            value = by.compute(formula)
        except UndefinedError:
            return None
        return None if by.left_reals else bool(abs(value) <= 1e-15 * max(1, by.scale))


def _check_families(gold: Node, answer: Node, check: Check) -> Decision:
    """Compare the values of formulas that are linear in the integer; of others only equal formulas are equal."""
    first, second = gold.args[0], answer.args[0]
    lines = [_find_line(one) for one in (first, second)]
    if lines[0] is not None and lines[1] is not None:
        (start, step), (other, other_step) = lines[0], lines[1]
        with mp.workdps(_DIGITS):
            if not _is_near(abs(step), abs(other_step)):
                return False, "families with different steps"
            shift = (start - other) / step
            return _is_near(shift, mp.nint(mp.re(shift)), 1), "families with the same step"
    return (Comparer(check).compare(first, second)[0] or None), "families"


def _find_line(formula: Node) -> tuple[Any, Any] | None:
    """Return the value at 0 and the step of a formula that is linear in the integer."""
    if find_names(formula) != {"integer"} or formula.kind == "list":
        return None
    with mp.workdps(_DIGITS):
        try:
            values = [Evaluator({"integer": Fraction(n)}).compute(formula) for n in (0, 1, 2, 5)]
        except UndefinedError:
            return None
        step = values[1] - values[0]
        is_linear = all(_is_near(values[0] + n * step, value, 1) for n, value in ((2, values[2]), (5, values[3])))
    return (values[0], step) if is_linear and step != 0 else None


def _check_ranges(gold: Node, answer: Node, _: Check) -> Decision:
    names = {Node("name", (name,)) for node in (gold, answer) for name in find_names(node)}
    if len(names) > 1 and gold.kind == answer.kind == "inequality":
        return _check_inequalities(gold, answer)
    try:
        value = compare_sets(gold, answer)
    except NotComputedError as error:
        return None, f"not computed: {error}"
    named = names | {node.args[0] for node in (gold, answer) if node.kind == "region"} - {None}
    return (None, "ranges of different names") if value and len(named) > 1 else (value, "sets of numbers")


def _check_inequalities(gold: Node, answer: Node) -> Decision:
    """Compare two inequalities of several variables: a positive multiple, or a point where one holds only."""
    if len(gold.args[0]) != 1 or len(answer.args[0]) != 1:
        return None, "chains of inequalities"
    first, second = _subtract(*gold.args[1]), _subtract(*answer.args[1])
    ratios = _list_ratios(first, second, find_names((first, second)))
    if len(ratios) >= _MIN_POINTS and all(_is_near(one, ratios[0]) for one in ratios) and mp.re(ratios[0]) > 0:
        return gold.args[0] == answer.args[0], "one inequality is a multiple of the other"
    is_other = any(mp.im(ratio) == 0 and mp.re(ratio) < 0 for ratio in ratios)
    return (False if is_other else None), "inequalities"


def evaluate_matrices(node: Any) -> Any:
    """Return the formula with matrices added and multiplied, and limits computed."""
    if not isinstance(node, Node):
        return tuple(map(evaluate_matrices, node)) if type(node) is tuple else node
    if node.kind == "lim":
        return find_limit(node)
    args = tuple(map(evaluate_matrices, node.args))
    if node.kind not in ("add", "mul") or not any(isinstance(one, Node) and one.kind == "matrix" for one in args):
        return Node(node.kind, args)
    joined = args[0]
    for other in args[1:]:
        joined = _join_matrices(node.kind, joined, other)
    return joined


def _join_matrices(kind: str, first: Node, second: Node) -> Node:
    """Return a sum or product of two matrices, or a multiple of one."""
    if first.kind != second.kind:
        factor, matrix = (second, first) if first.kind == "matrix" else (first, second)
        rows = [[Node(kind, (factor, cell)) for cell in row] for row in matrix.args[0]]
    elif kind == "add":
        pairs = zip(first.args[0], second.args[0], strict=True)
        rows = [[Node("add", pair) for pair in zip(*both, strict=True)] for both in pairs]
    else:
        columns = list(zip(*second.args[0], strict=True))
        rows = [[_multiply_lines(row, column) for column in columns] for row in first.args[0]]
    return Node("matrix", (tuple(map(tuple, rows)),))


def _multiply_lines(row: tuple[Node, ...], column: tuple[Node, ...]) -> Node:
    return Node("add", tuple(Node("mul", pair) for pair in zip(row, column, strict=True)))


KIND_CHECKS: dict[str, Callable[[Node, Node, Check], Decision]] = {
    "equation": _check_equations, "family": _check_families,
    **dict.fromkeys(("region", "inequality", "system"), _check_ranges),
}  # fmt: skip
"""Checks of what is no formula, by the kind of the first answer."""
