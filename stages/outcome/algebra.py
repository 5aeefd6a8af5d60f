"""Comparing formulas with math-verify, and the second opinions that its answers need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stages.outcome.guard import install
from stages.outcome.sets import same_set
from stages.outcome.values import same_after_rounding, same_vector

LARGEST = 200
"""Operations in a formula above which math-verify's no is not looked at again."""


_USUAL = (
    (r"x^2+\frac{1}{2}x-\sqrt{3}", r"\frac{x}{2}-\sqrt[2]{3}+x^{2}"),
    (r"(1, -2.5)", r"\left(1, -\frac{5}{2}\right)"),
    (r"\{1, 2\}", r"\sin 1, \cos 2"),
)
"""Formulas of kinds that the parser takes long for when it meets them first."""


class Algebra:
    """math-verify and SymPy, which take a second to load."""

    def __init__(self) -> None:
        import logging

        logging.disable(logging.CRITICAL)
        import math_verify
        import sympy

        install()
        self._sympy = sympy
        plain = math_verify.LatexExtractionConfig()
        # Units are taken off before; math-verify takes ab in 2ab for one.
        normalization = replace(plain.normalization_config, units=False)
        self._configuration = [replace(plain, normalization_config=normalization)]
        self._parse = math_verify.parse
        self._verify = math_verify.verify
        self._opinions: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
            ("the difference is 0", self._same_variable),
            ("equal with i as the imaginary unit", self._same_complex),
            ("the same set of numbers", same_set),
            ("the same vector", same_vector),
            ("rounded", same_after_rounding),
        )

    def warm_up(self) -> None:
        """Compare what is usual, so that no later comparison waits for what loads late."""
        for gold, answer in _USUAL:
            self.compare(gold, answer)

    def read(self, formula: str) -> list[Any]:
        """What `formula` says, as SymPy objects; empty where it says nothing that can be parsed."""
        parsed: list[Any] = self._parse(
            f"${formula}$",
            extraction_config=self._configuration,
            fallback_mode="no_fallback",
            parsing_timeout=None,
            raise_on_error=False,
        )
        return parsed

    def compare(self, gold: str, answer: str) -> tuple[bool | None, str]:
        """Whether two formulas are equal, and why; None where `gold` cannot be read."""
        first, second = self.read(gold), self.read(answer)
        if not first:
            return None, "gold cannot be parsed"
        if not second:
            return False, "answer cannot be parsed"
        if self._equal(first, second):
            if not self._trust(first[0], second[0]):
                return False, "math-verify, overruled: the equations differ"
            return True, "math-verify"
        return self._look_again(first[0], second[0])

    def _equal(self, gold: Any, answer: Any) -> bool:
        return bool(self._verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True))

    def _look_again(self, gold: Any, answer: Any) -> tuple[bool, str]:
        """What math-verify finds unequal may be equal in a way that it does not look at."""
        sympy = self._sympy
        if all(isinstance(one, (sympy.Basic, sympy.MatrixBase)) and _size(one) <= LARGEST for one in (gold, answer)):
            for reason, equal in self._opinions:
                if _holds(equal, gold, answer):
                    return True, f"algebra: {reason}"
        return False, "math-verify"

    def _same_variable(self, gold: Any, answer: Any) -> bool:
        """Whether a single variable is what the other formula comes to: math-verify compares it by its name only."""
        sympy = self._sympy
        pair = (gold, answer)
        if not all(isinstance(one, sympy.Expr) for one in pair) or not any(one.is_Symbol for one in pair):
            return False
        return bool(gold.free_symbols & answer.free_symbols and sympy.simplify(gold - answer) == 0)

    def _same_complex(self, gold: Any, answer: Any) -> bool:
        """Whether the two are equal once i is the imaginary unit, which the parser takes for a variable."""
        sympy = self._sympy
        units = {one for side in (gold, answer) for one in side.free_symbols if one.name == "i"}
        if not units:
            return False
        values = dict.fromkeys(units, sympy.I)
        first, second = gold.subs(values), answer.subs(values)
        if isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr):
            return bool(sympy.simplify(sympy.expand_complex(first - second)) == 0)
        return self._equal([first], [second])

    def _trust(self, gold: Any, answer: Any) -> bool:
        """Whether math-verify's yes holds: it finds two equations without solutions equal."""
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


def _holds(equal: Callable[[Any, Any], bool], gold: Any, answer: Any) -> bool:
    """Whether an opinion says yes; one that cannot be formed leaves math-verify's."""
    try:
        return equal(gold, answer)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - SymPy raises whatever its parts disagree in
        return False


def _size(formula: Any) -> int:
    """How many parts a formula has, at most one more than `LARGEST`."""
    if hasattr(formula, "shape"):
        return int(formula.shape[0] * formula.shape[1])
    import itertools

    import sympy

    return sum(1 for _ in itertools.islice(sympy.preorder_traversal(formula), LARGEST + 1))
