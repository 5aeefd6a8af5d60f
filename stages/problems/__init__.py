"""Problems, the first stage: reads or makes problems, filters them, finds gold answers, drops duplicates, splits."""

from stages.problems.problem_table import build_problems, read_problems

__all__ = ["build_problems", "read_problems"]
