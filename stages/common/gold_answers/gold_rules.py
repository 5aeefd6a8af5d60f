"""How the gold answer of a problem is found, by task; apart from the verifiers, since problem ids depend on it."""

from typing import NamedTuple

from stages.common.registry import Registry


class GoldAnswer(NamedTuple):
    """The gold answer of a problem; where `text` is None, `reason` says why there is none."""

    text: str | None
    reason: str = ""


class GoldRules:
    """Takes the answer that a row gives. A subclass may also find it in the reference solution."""

    def find_gold(
        self,
        solution: str,  # noqa: ARG002 - for subclasses
        answer: str | None,
        require_single: bool = False,  # noqa: ARG002 - for subclasses
    ) -> GoldAnswer:
        """Return the gold answer, or the reason why there is none.

        With `require_single`, a solution that states several different answers has none.
        """
        return GoldAnswer(answer) if answer else GoldAnswer(None, "no answer")

    def find_solution_answer(self, solution: str) -> str | None:  # noqa: ARG002 - for subclasses
        """Return the answer that `solution` marks as its own, None if it marks none."""
        return None

    def make_key(self, answer: str) -> str:
        """Return a text that is equal for answers that differ in spelling only."""
        return answer


GOLD_RULES: Registry[type[GoldRules]] = Registry("task", {"math": "stages.common.gold_answers.math_gold:MathGoldRules"})
"""Classes by task. A task from outside that needs no rules of its own registers `GoldRules`."""
