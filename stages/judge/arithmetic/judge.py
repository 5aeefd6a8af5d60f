"""From equalities to the labels of a solution's steps."""

from __future__ import annotations

from stages.judge.arithmetic.context import doubt_of_problem, doubt_of_step
from stages.judge.arithmetic.equalities import LONGEST_STEP, equalities


def judge_arithmetic(problem: str, steps: list[str]) -> list[tuple[bool | None, str]]:
    """Label and reason of each step of one sample: False where it states a false numeric equality, else unknown.

    Never True: a step whose equalities all hold may be wrong in what it computes. Nothing of the text is evaluated;
    the work per step is bounded, and whatever has more than one reading is passed over.
    """
    doubt = doubt_of_problem(problem[:LONGEST_STEP])
    return [(None, doubt)] * len(steps) if doubt else [_judge(step) for step in steps]


def _judge(step: str) -> tuple[bool | None, str]:
    doubt = doubt_of_step(step[:LONGEST_STEP])
    if doubt:
        return None, doubt
    found = true = 0
    for equality in equalities(step):
        found += 1
        true += equality.holds is True
        if equality.holds is False:
            return False, f"{equality.text}: {equality.reason}"
    return None, f"none of {found} equalities is false, {true} hold" if found else "states no equality"
