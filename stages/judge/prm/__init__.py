"""A process reward model as judge: one score per step and two thresholds."""

from stages.judge.prm.prm_judge import PrmJudge, label_score

__all__ = ["PrmJudge", "label_score"]
