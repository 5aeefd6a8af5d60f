"""Human labels of steps: an append-only file, and how far a judge agrees with it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.statistics import HUMAN_LABEL_KEYS, check_human_label, compute_kappa, read_human_labels

HUMAN_LABELS = Path("work/human_labels.jsonl")
"""Where human labels go by default: ignored by Git and DVC, since no stage writes them."""


def append_human_label(path: Path, label: dict[str, Any]) -> None:
    """Append one line durably; raises `UserError` for a label that lacks a key or holds another."""
    check_human_label(label, "human label")
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({key: label[key] for key in HUMAN_LABEL_KEYS}, ensure_ascii=True) + "\n"
    with path.open("ab", buffering=0) as file:  # one write, so that lines of two servers do not mix
        file.write(line.encode("ascii"))
        os.fsync(file.fileno())


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


def measure_agreement(labels: list[dict[str, Any]]) -> list[JudgeAgreement]:
    """One entry per judge, in the order of their hashes."""
    measured = []
    for judge in sorted({label["judge"] for label in labels}):
        of_judge = [label for label in labels if label["judge"] == judge]
        known = [label for label in of_judge if label["label"] in ("correct", "incorrect")]
        pairs = [(label["label"] == "correct", label["is_correct"]) for label in known]
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
