"""Judges that are rules."""

from stages.judge.rules.arithmetic import judge_arithmetic
from stages.judge.rules.rule_judge import RuleJudge, judge_toy_arithmetic

__all__ = ["RuleJudge", "judge_arithmetic", "judge_toy_arithmetic"]
