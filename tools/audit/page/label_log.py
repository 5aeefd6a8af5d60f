"""How far judges agree with human labels of steps."""

from dataclasses import dataclass
from pathlib import Path

from stages.common.human_labels import HumanLabel, read_human_labels
from stages.common.statistics import compute_kappa


@dataclass(frozen=True)
class JudgeAgreement:
    """How one judge agrees with human labels, over steps that it calls correct or incorrect."""

    judge: str
    num_steps: int
    """Human labels of steps that the judge knows."""
    num_unknown: int
    """Human labels of steps that it does not know."""
    agreement: float
    """Fraction of `num_steps`, 0 to 1."""
    kappa: float | None
    """Cohen's kappa: agreement beyond chance, 1 at most; None where chance alone would agree on all."""


def measure_agreement(labels: list[HumanLabel]) -> list[JudgeAgreement]:
    """One entry per judge, in the order of their hashes, over the steps that people could tell."""
    measured = []
    for judge in sorted({label.judge for label in labels}):
        of_judge = [label for label in labels if label.judge == judge and label.is_correct is not None]
        known = [label for label in of_judge if label.judge_label in ("correct", "incorrect")]
        pairs = [(label.judge_label == "correct", bool(label.is_correct)) for label in known]
        agreement = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
        num_unknown = len(of_judge) - len(pairs)
        measured.append(JudgeAgreement(judge, len(pairs), num_unknown, agreement, compute_kappa(pairs)))
    return measured


def describe_agreement(path: Path) -> list[str]:
    """A line per judge on the human labels in `path`; raises `UserError` for a bad line."""
    return [
        f"judge {found.judge}: agrees on {found.agreement:.1%} of {found.num_steps:,} steps, "
        f"Cohen's kappa {'not defined' if found.kappa is None else f'{found.kappa:.3f}'}; "
        f"{found.num_unknown:,} more steps are unknown to it"
        for found in measure_agreement(read_human_labels(path))
    ]
