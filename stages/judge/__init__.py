"""Judging: correct, incorrect or unknown for every step, by a rule, a reward model or language models."""

from stages.judge.labelling import JUDGES, Judge, Labels, judge_samples, make_judge, open_judge
from stages.judge.step_labels import (
    CompletionSteps,
    Judgement,
    LabelEvidence,
    StepLabel,
    find_first_error,
    join_completions,
)

__all__ = [
    "JUDGES",
    "CompletionSteps",
    "Judge",
    "Judgement",
    "LabelEvidence",
    "Labels",
    "StepLabel",
    "find_first_error",
    "join_completions",
    "judge_samples",
    "make_judge",
    "open_judge",
]
