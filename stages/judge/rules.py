"""Judges that ask nobody: rules over a problem and the texts of a solution's steps."""

from __future__ import annotations

from collections.abc import Callable

from stages.judge.arithmetic import judge_arithmetic
from stages.judge.exact import judge_exactly

Rule = Callable[[str, list[str]], list[tuple[bool | None, str]]]
"""From a problem and the steps of one of its samples to the label and reason of each."""


def judge_nothing(_problem: str, steps: list[str]) -> list[tuple[bool | None, str]]:
    return [(None, "no judge")] * len(steps)


RULES: dict[str, Rule] = {"exact": judge_exactly, "arithmetic": judge_arithmetic, "none": judge_nothing}
"""The judges that need no model, by `judge.kind`."""
