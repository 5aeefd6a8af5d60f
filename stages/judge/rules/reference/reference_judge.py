"""A rule that labels steps by the reference solution: their computations, and the final answer."""

from typing import Any

from stages.common.verifiers import VERIFIERS, verify_answer
from stages.judge.rules.arithmetic import find_skip_reasons, judge_arithmetic
from stages.judge.rules.arithmetic.equalities import find_equalities
from stages.judge.rules.reference.computations import (
    Computation,
    has_equal_sides,
    is_numeric,
    read_computation,
    read_reference,
)
from stages.judge.rules.rule_judge import RuleJudge, StepVerdicts
from stages.judge.step_labels import CompletionSteps

TIMEOUT_S = 5.0
"""Seconds for the comparison of one final answer; unknown after that."""


class ReferenceJudge(RuleJudge):
    """Correct where a step computes what the reference solution computes, incorrect where its arithmetic is false.

    A step is correct if it states an equality, all that it states are true, and each has the numbers and the result of
    one in the reference solution, of a part of one, or of one into which an earlier result is put. The last step is
    correct if the final answer that it states is the gold answer. Where the answer is not known to be right, the last
    step that agrees with the reference is unknown, too: there the solution leaves the reference, and its words may
    already be wrong where its equation is not. The paper's judge (section on step labels) sees the reference solution
    as well; this rule is ours.
    """

    description = (
        "a rule: a step is correct if each of its computations is one of the reference solution's, or if it states the "
        "gold answer; incorrect if it states a false numeric equality; unknown otherwise"
    )

    def identify(self) -> Any:
        """The verifier of final answers."""
        return VERIFIERS.get("math")().version

    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """Verdict and reason of each step."""
        steps = list(completion.steps)
        known = read_reference(completion.reference)
        skip_reasons = find_skip_reasons(completion.problem, steps)
        labels = [
            (is_correct, reason) if is_correct is False or skip_reason else _compare(step, known)
            for step, skip_reason, (is_correct, reason) in zip(
                steps, skip_reasons, judge_arithmetic(completion.problem, steps), strict=True
            )
        ]
        if not _states_answer(completion, "".join(steps)):
            _leave_last_unknown(labels)
        if steps and labels[-1][0] is None and _states_answer(completion, steps[-1]):
            labels[-1] = True, "states the gold answer"
        return labels


def _compare(step: str, known: frozenset[Computation]) -> tuple[bool | None, str]:
    """Correct if `step` computes something, and all that it computes is `known`."""
    computed = [
        (equality, computation)
        for equality in find_equalities(step)
        if is_numeric(equality) and (computation := read_computation(equality))
    ]
    if not computed:
        return None, "computes nothing that can be read"
    for equality, computation in computed:
        if not has_equal_sides(equality):
            return None, f"{equality.text}: {equality.reason}"
        if computation not in known:
            return None, f"{equality.text}: not in the reference solution"
    return True, f"{len(computed)} computations are those of the reference solution"


def _states_answer(completion: CompletionSteps, text: str) -> bool:
    return verify_answer(completion.answer, text, completion.task, TIMEOUT_S).is_correct is True


def _leave_last_unknown(labels: StepVerdicts) -> None:
    last = next((step for step in reversed(range(len(labels))) if labels[step][0]), None)
    if last is not None:
        labels[last] = (
            None,
            "the last step that agrees with the reference solution, in a completion without its answer",
        )
