"""The rule-based judge of real text: a step that states a false numeric equality is wrong, nothing else is known."""

from stages.judge.arithmetic.judge import judge_arithmetic

__all__ = ["judge_arithmetic"]
