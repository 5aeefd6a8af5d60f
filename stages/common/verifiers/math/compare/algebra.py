"""Whether two formulas are equal, by math-verify and by further checks where it says no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from stages.common.verifiers.math.compare.further_checks import is_rounded_equal, is_same_set, is_same_vector
from stages.common.verifiers.math.compare.sympy_sandbox import install_sandbox
from stages.common.verifiers.verifier import Decision

MAX_OPERATIONS = 200
"""Operations in a formula above which math-verify's "unequal" is final."""

_COMMON_PAIRS = (
    (r"x^2+\frac{1}{2}x-\sqrt{3}", r"\frac{x}{2}-\sqrt[2]{3}+x^{2}"),
    (r"(1, -2.5)", r"\left(1, -\frac{5}{2}\right)"),
    (r"\{1, 2\}", r"\sin 1, \cos 2"),
)
"""The parser loads code late for these kinds of formulas."""


class Algebra:
    """math-verify and SymPy, which take a second to load."""

    def __init__(self) -> None:
        import logging

        logging.disable(logging.CRITICAL)
        import math_verify
        import sympy

        install_sandbox()
        self._sympy = sympy
        plain = math_verify.LatexExtractionConfig()
        # Units are removed earlier; math-verify would read ab in 2ab as one.
        normalization = replace(plain.normalization_config, units=False)
        self._extraction = [replace(plain, normalization_config=normalization)]
        self._parse = math_verify.parse
        self._verify = math_verify.verify
        self._checks: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
            ("the difference is 0", self._is_same_variable),
            ("equal with i as the imaginary unit", self._is_same_complex),
            ("the same set of numbers", is_same_set),
            ("the same vector", is_same_vector),
            ("rounded", is_rounded_equal),
        )

    def parse(self, formula: str) -> list[Any]:
        """Return the SymPy objects that `formula` stands for; none if it cannot be parsed."""
        parsed: list[Any] = self._parse(
            f"${formula}$",
            extraction_config=self._extraction,
            fallback_mode="no_fallback",
            parsing_timeout=None,
            raise_on_error=False,
        )
        return parsed

    def compare(self, gold: str, answer: str) -> tuple[bool | None, str]:
        """Return whether two formulas are equal, and the reason; None where `gold` cannot be parsed."""
        first, second = self.parse(gold), self.parse(answer)
        if not first:
            return None, "gold cannot be parsed"
        if not second:
            return False, "answer cannot be parsed"
        if self._equal(first, second):
            if not self._is_trusted(first[0], second[0]):
                return False, "math-verify, overruled: the equations differ"
            return True, "math-verify"
        return self._check_further(first[0], second[0])

    def _equal(self, gold: Any, answer: Any) -> bool:
        return bool(self._verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True))

    def _check_further(self, gold: Any, answer: Any) -> tuple[bool, str]:
        """Check for equality in ways that math-verify does not know."""
        sympy = self._sympy
        if all(
            isinstance(one, (sympy.Basic, sympy.MatrixBase)) and _count_parts(one) <= MAX_OPERATIONS
            for one in (gold, answer)
        ):
            for reason, equal in self._checks:
                if _run_check(equal, gold, answer):
                    return True, f"algebra: {reason}"
        return False, "math-verify"

    def _is_same_variable(self, gold: Any, answer: Any) -> bool:
        """Return whether a formula simplifies to the variable beside it, which math-verify compares by name only."""
        sympy = self._sympy
        pair = (gold, answer)
        if not all(isinstance(one, sympy.Expr) for one in pair) or not any(one.is_Symbol for one in pair):
            return False
        return bool(gold.free_symbols & answer.free_symbols and sympy.simplify(gold - answer) == 0)

    def _is_same_complex(self, gold: Any, answer: Any) -> bool:
        """Return whether the two are equal with i as the imaginary unit, which the parser reads as a variable."""
        sympy = self._sympy
        units = {one for side in (gold, answer) for one in side.free_symbols if one.name == "i"}
        if not units:
            return False
        values = dict.fromkeys(units, sympy.I)
        first, second = gold.subs(values), answer.subs(values)
        if isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr):
            return bool(sympy.simplify(sympy.expand_complex(first - second)) == 0)
        return self._equal([first], [second])

    def _is_trusted(self, gold: Any, answer: Any) -> bool:
        """Return whether math-verify's "equal" holds: it finds any two equations without solutions equal."""
        sympy = self._sympy
        pair = (gold, answer)
        if not all(isinstance(one, sympy.Eq) for one in pair) or gold == answer:
            return True
        if all(one.lhs.is_Symbol for one in pair):
            return True
        first, second = (sympy.simplify(one.lhs - one.rhs) for one in pair)
        if not first.free_symbols or not second.free_symbols:
            return False
        ratio = sympy.simplify(first / second)
        return bool(ratio.is_number and ratio != 0)


def load_algebra() -> Callable[[str, str], Decision]:
    """Load math-verify and SymPy, and return `Algebra.compare` with None for whatever it raises."""
    algebra = Algebra()
    for pair in _COMMON_PAIRS:
        algebra.compare(*pair)
    return partial(_compare_safely, algebra.compare)


def _compare_safely(compare: Callable[[str, str], Decision], gold: str, answer: str) -> Decision:
    try:
        return compare(gold, answer)
    except MemoryError:
        return None, "out of memory"
    except RecursionError:
        return None, "nested too deeply"
    except Exception as error:  # noqa: BLE001 - a parser may raise anything for a model's text; that pair is unknown
        return None, f"algebra failed: {type(error).__name__}"


def _run_check(equal: Callable[[Any, Any], bool], gold: Any, answer: Any) -> bool:
    """Return what a check says; one that fails says no."""
    try:
        return equal(gold, answer)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - SymPy may raise anything
        return False


def _count_parts(formula: Any) -> int:
    """Return the number of parts of a formula, counted up to `MAX_OPERATIONS` + 1."""
    if hasattr(formula, "shape"):
        return int(formula.shape[0] * formula.shape[1])
    import itertools

    import sympy

    return sum(1 for _ in itertools.islice(sympy.preorder_traversal(formula), MAX_OPERATIONS + 1))
