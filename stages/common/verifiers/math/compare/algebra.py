"""Whether two formulas are equal: by their values, and by SymPy for sets. Runs in processes that may be killed.

"Equal" needs two witnesses: values that agree to 50 digits at 20 rational and complex points, and at one of them to 300
digits; numbers must agree to 1,000 digits. "Unequal" needs a point at which both are real, or both use i, and differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath  # noqa: F401 - loaded before the server forks
import sympy  # noqa: F401
from mpmath import mp

from stages.common.verifiers.math.compare.algebra_kinds import KIND_CHECKS, evaluate_matrices
from stages.common.verifiers.math.compare.comparer import Comparer, NeedsAlgebra, check_cheaply
from stages.common.verifiers.math.compare.decision import compare_texts
from stages.common.verifiers.math.compare.evaluate import (
    Evaluator,
    Point,
    UndefinedError,
    make_points,
    make_whole_points,
    read_fraction,
)
from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.resolve import find_names
from stages.common.verifiers.math.compare.rounding import is_rounding
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.verifier import Decision

_DIGITS = 60
"""Digits that values are computed to; they agree if the first 50 do."""

_MORE_DIGITS = (300, 1_000)
_SPARE_DIGITS = 10
_MIN_POINTS = 6
"""Fewest points that decide; at others a formula may have no value."""

_WARM_UP = (
    (r"\sqrt 2+x", r"x+\frac{2}{\sqrt 2}"), ("x^{2}<4", "(-2,2)"), ("2x+y=3", "y=3-2x"), (r"\sin x", r"\cos x"),
)  # fmt: skip
"""Formulas of the kinds for which libraries load code late."""


def check_formulas(gold: Node, answer: Node) -> Decision:
    """Compare two formulas, equations, families or sets of numbers."""
    if gold.kind in KIND_CHECKS:
        return KIND_CHECKS[gold.kind](gold, answer, check_formulas)
    try:
        return check_cheaply(gold, answer)
    except NeedsAlgebra:
        return _check_values(evaluate_matrices(gold), evaluate_matrices(answer))


def _check_values(gold: Node, answer: Node) -> Decision:
    if "matrix" in (gold.kind, answer.kind):
        return Comparer(check_formulas).compare(gold, answer) if gold.kind == answer.kind else (None, "matrices")
    names = find_names((gold, answer))
    check = _check_at_points if names else _check_constants
    try:
        bases = (None, 10) if "'log'" in repr((gold, answer)) else (None,)
        decisions = [check(gold, answer, names, base) for base in bases]
    except UndefinedError as error:
        return None, f"no value: {error}"
    if len({value for value, _ in decisions}) > 1:
        return None, "a logarithm without a base"
    is_worded = any(len(name) > 3 and name.isalpha() and not name.isupper() for name in names)
    return (None, "words in a formula") if is_worded and decisions[0][0] is False else decisions[0]


def _check_constants(gold: Node, answer: Node, _: frozenset[str], log_base: int | None) -> Decision:
    """Compare two numbers, to more digits as long as they agree."""
    for digits in (_DIGITS, *_MORE_DIGITS):
        first, second, agree, __ = _compute_both(gold, answer, {}, log_base, digits)
        if agree:
            continue
        if digits == _DIGITS and not mp.im(first) and not mp.im(second):
            for decimal, value, node in ((gold, second, answer), (answer, first, gold)):
                if is_rounding(decimal, read_fraction(mp.re(value)), find_exact(node) is None):
                    return True, "rounded"
        is_sure = not _compute_both(gold, answer, {}, log_base, 2 * digits, digits)[2]
        return (False, "different values") if is_sure else (None, "values too close")
    return True, f"equal to {_MORE_DIGITS[-1]} digits"


def _compute_both(
    gold: Node, answer: Node, point: Point, log_base: int | None, digits: int, agreeing: int | None = None
) -> tuple[Any, Any, bool, bool]:
    """Return both values, whether they agree relative to the largest term, and whether both stayed real."""
    with mp.workdps(digits):
        by = Evaluator(point, log_base)
        first, second = by.compute(gold), by.compute(answer)
        largest = max(abs(first), abs(second), by.scale)
        agree = abs(first - second) <= mp.mpf(10) ** (_SPARE_DIGITS - (agreeing or digits)) * largest
        return first, second, bool(agree), not by.left_reals


def _check_at_points(gold: Node, answer: Node, names: frozenset[str], log_base: int | None) -> Decision:
    """Compare formulas with variables; one that differs for whole numbers at no point is not known to differ."""
    agreed = {"positive": 0, "real": 0, "complex": 0}
    complex_differs = False
    close: bool | None = None
    for kind, point in make_points(names):
        try:
            _, _, agree, is_real = _compute_both(gold, answer, point, log_base, _DIGITS)
        except UndefinedError:
            continue
        if not agree and is_real and kind != "complex":
            return _check_whole(gold, answer, names, log_base)
        complex_differs |= not agree
        agreed[kind] += agree
        close = _agree_closely(gold, answer, point, log_base) if close is None and agree else close
    if agreed["positive"] + agreed["real"] < _MIN_POINTS:
        return (None, "too few points") if any(agreed.values()) else _check_whole(gold, answer, names, log_base)
    if close is False:
        return None, "values too close"
    if agreed["complex"] and not complex_differs:
        return True, "equal at 20 points"
    return True, "equal at real points" if agreed["real"] else "equal for positive variables"


def _agree_closely(gold: Node, answer: Node, point: Point, log_base: int | None) -> bool | None:
    try:
        return _compute_both(gold, answer, point, log_base, _MORE_DIGITS[0])[2]
    except UndefinedError:
        return None  # an integral, which is not computed to so many digits


def _check_whole(gold: Node, answer: Node, names: frozenset[str], log_base: int | None) -> Decision:
    found = []
    for point in make_whole_points(names):
        try:
            found.append(_compute_both(gold, answer, point, log_base, _DIGITS)[2])
        except UndefinedError:
            continue
    if False in found:
        return False, "different values"
    return None, "equal for whole numbers only" if found else "no values"


def load_algebra() -> Callable[[str, str], Decision]:
    """Return a function that decides on two plain texts, with None for whatever it raises."""
    for pair in _WARM_UP:
        compare_texts(*pair, check_formulas)
    return _compare_safely


def _compare_safely(gold: str, answer: str) -> Decision:
    try:
        return compare_texts(gold, answer, check_formulas)
    except MemoryError:
        return None, "out of memory"
    except RecursionError:
        return None, "nested too deeply"
    except Exception as error:  # noqa: BLE001 - SymPy may raise anything for a model's text; that pair is unknown
        return None, f"algebra failed: {type(error).__name__}"
