"""Judging: True, False or unknown for every step, by a rule or by language models."""

from stages.judge.label import Judge, Labels, judge_samples, open_judge
from stages.judge.reply import StepVerdict, Unusable, read_reply
from stages.judge.vote import StepLabel, both_agree, count_votes

__all__ = [
    "Judge",
    "Labels",
    "StepLabel",
    "StepVerdict",
    "Unusable",
    "both_agree",
    "count_votes",
    "judge_samples",
    "open_judge",
    "read_reply",
]
