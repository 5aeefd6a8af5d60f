"""From equalities to verdicts on the steps of a completion."""

from stages.judge.rules.arithmetic.equalities import MAX_STEP_CHARS, find_equalities
from stages.judge.rules.arithmetic.whole_texts import find_problem_skip_reason, find_step_skip_reason


def judge_arithmetic(problem: str, steps: list[str]) -> list[tuple[bool | None, str]]:
    """Verdict and reason of each step of one completion: False if it states a false numeric equality, else unknown.

    Never True: a step whose equalities are all true may compute the wrong thing. Text is parsed, never evaluated as
    code; work per step is bounded; whatever has more than one reading is skipped.
    """
    return [
        (None, skip_reason) if skip_reason else _judge_one(step)
        for step, skip_reason in zip(steps, find_skip_reasons(problem, steps), strict=True)
    ]


def find_skip_reasons(problem: str, steps: list[str]) -> list[str]:
    """Why the equalities of each step cannot be called true or false, "" where they can."""
    reason = find_problem_skip_reason(problem[:MAX_STEP_CHARS])
    return [reason or find_step_skip_reason(step[:MAX_STEP_CHARS]) for step in steps]


def _judge_one(step: str) -> tuple[bool | None, str]:
    num_found = num_true = 0
    for equality in find_equalities(step):
        num_found += 1
        num_true += equality.is_true is True
        if equality.is_true is False:
            return False, f"{equality.text}: {equality.reason}"
    return None, f"none of {num_found} equalities is false, {num_true} are true" if num_found else "states no equality"
