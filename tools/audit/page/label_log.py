"""What people say of steps: an append-only file, and how far a judge agrees with it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.statistics import HUMAN_LABEL_KEYS, check_human_label, compute_kappa


def append_verdict(path: Path, verdict: dict[str, Any]) -> None:
    """Append one line durably; raises `ValueError` for a verdict that lacks a key or holds another."""
    check_human_label(verdict, "verdict")
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({key: verdict[key] for key in HUMAN_LABEL_KEYS}, ensure_ascii=True) + "\n"
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(number, line.encode("ascii"))
        os.fsync(number)
    finally:
        os.close(number)


@dataclass(frozen=True)
class Agreement:
    """How one judge agrees with people, over steps that it called right or wrong."""

    judge: str
    steps: int
    """Verdicts on steps that the judge knew."""
    unknown: int
    """Verdicts on steps that it did not."""
    agreed: float
    """Share of `steps`, 0 to 1."""
    kappa: float | None
    """Cohen's kappa: agreement beyond chance, 1 at most; None where chance alone would agree on all."""


def agreements(verdicts: list[dict[str, Any]]) -> list[Agreement]:
    """One entry per judge, in the order of their hashes."""
    found = []
    for judge in sorted({verdict["judge"] for verdict in verdicts}):
        own = [verdict for verdict in verdicts if verdict["judge"] == judge]
        pairs = [(v["label"] == "correct", v["is_correct"]) for v in own if v["label"] in ("correct", "incorrect")]
        agreed = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
        found.append(Agreement(judge, len(pairs), len(own) - len(pairs), agreed, compute_kappa(pairs)))
    return found
