"""What people say of steps: an append-only file, and how far a judge agrees with it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEYS = {"person": str, "round": str, "sample_id": str, "step": int, "right": bool, "label": str, "judge": str}
"""Keys of a line: who says of which step that it is `right`, and what the judge's `label` was."""

LABELS = ("right", "wrong", "unknown", "none")


def append_verdict(path: Path, verdict: dict[str, Any]) -> None:
    """Append one line durably; raises `ValueError` for a verdict that lacks a key or holds another."""
    check_verdict(verdict, "verdict")
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({key: verdict[key] for key in KEYS}, ensure_ascii=True) + "\n"
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(number, line.encode("ascii"))
        os.fsync(number)
    finally:
        os.close(number)


def check_verdict(verdict: Any, where: str) -> dict[str, Any]:
    """`verdict` itself if it is one; else `ValueError` beginning with `where`."""
    if not isinstance(verdict, dict) or verdict.keys() != KEYS.keys():
        raise ValueError(f"{where}: expected an object with {', '.join(KEYS)}")
    for key, kind in KEYS.items():
        if type(verdict[key]) is not kind:
            raise ValueError(f"{where}: {key}: expected {kind.__name__}, found {verdict[key]!r}")
    if verdict["label"] not in LABELS:
        raise ValueError(f"{where}: label: expected one of {', '.join(LABELS)}, found {verdict['label']!r}")
    return verdict


def read_verdicts(path: Path) -> list[dict[str, Any]]:
    """The last verdict of each person on each step of a round.

    Raises `FileNotFoundError`, or `ValueError` naming file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `audit serve` begins one with the first verdict")
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not JSON") from error
        verdict = check_verdict(value, f"{path}:{number}")
        last[tuple(verdict[key] for key in ("person", "round", "sample_id", "step"))] = verdict
    return list(last.values())


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
        pairs = [(v["label"] == "right", v["right"]) for v in own if v["label"] in ("right", "wrong")]
        agreed = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
        found.append(Agreement(judge, len(pairs), len(own) - len(pairs), agreed, cohens_kappa(pairs)))
    return found


def cohens_kappa(pairs: list[tuple[bool, bool]]) -> float | None:
    """``(po - pe) / (1 - pe)`` of two raters' labels (Cohen 1960), None where that is not defined."""
    if not pairs:
        return None
    count = len(pairs)
    observed = sum(a == b for a, b in pairs) / count
    first, second = (sum(pair[rater] for pair in pairs) / count for rater in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else (observed - chance) / (1 - chance)
