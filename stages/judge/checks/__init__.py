"""Signs of a degenerate judge, looked for before it labels a round."""

from stages.judge.checks.judge_checks import check_judge, raise_degenerate

__all__ = ["check_judge", "raise_degenerate"]
