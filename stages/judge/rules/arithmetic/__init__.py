"""The rule for real text: a step that states a false numeric equality is incorrect, every other is unknown."""

from stages.judge.rules.arithmetic.arithmetic_judge import find_skip_reasons, judge_arithmetic

__all__ = ["find_skip_reasons", "judge_arithmetic"]
