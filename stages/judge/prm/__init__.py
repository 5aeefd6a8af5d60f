"""A process reward model as judge: one score per step, True and False beyond two thresholds, unknown between."""

from stages.judge.prm.judge import PrmJudge, label_of, open_prm

__all__ = ["PrmJudge", "label_of", "open_prm"]
