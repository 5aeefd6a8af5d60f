"""The day world's exact judge: the rule of stages.common.toy_arithmetic, step by step."""

from __future__ import annotations

from stages.common.toy_arithmetic import judge_step, parse_problem


def judge_exactly(problem: str, steps: list[str]) -> list[tuple[bool | None, str]]:
    """Label and reason of each step of one sample; all unknown where `problem` is not of the day world."""
    try:
        parsed = parse_problem(problem)
    except ValueError as error:
        return [(None, str(error))] * len(steps)
    labels: list[tuple[bool | None, str]] = []
    before: str | None = None
    for position, step in enumerate(steps):
        verdict = judge_step(parsed, position, step, before)
        labels.append((verdict.is_correct, verdict.reason))
        before = verdict.result
    return labels
