"""Gold answers: found in a row or its reference solution by rules that the task chooses."""

from stages.common.gold_answers.gold_rules import GOLD_RULES, GoldAnswer, GoldRules

__all__ = ["GOLD_RULES", "GoldAnswer", "GoldRules"]
