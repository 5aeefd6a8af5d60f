"""The rule for real text: a step that states a false numeric equality is incorrect, every other is unknown."""

from stages.judge.rules.arithmetic.arithmetic_judge import judge_arithmetic

__all__ = ["judge_arithmetic"]
