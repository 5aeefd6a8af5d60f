"""Judging: True, False or unknown for every step, by a rule or by language models."""

from stages.judge.label import Judge, Labels, judge_samples, open_judge

__all__ = ["Judge", "Labels", "judge_samples", "open_judge"]
