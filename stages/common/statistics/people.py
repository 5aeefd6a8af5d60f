"""What people say of steps: the lines of an append-only file, of which the last one on a step counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERDICT_KEYS = {"person": str, "round": str, "sample_id": str, "step": int, "right": bool, "label": str, "judge": str}
"""Keys of a line: who says of which step that it is `right`, and what the judge's `label` was."""

VERDICT_LABELS = ("right", "wrong", "unknown", "none")


def check_verdict(verdict: Any, where: str) -> dict[str, Any]:
    """`verdict` itself if it is one; else `ValueError` beginning with `where`."""
    if not isinstance(verdict, dict) or verdict.keys() != VERDICT_KEYS.keys():
        raise ValueError(f"{where}: expected an object with {', '.join(VERDICT_KEYS)}")
    for key, kind in VERDICT_KEYS.items():
        if type(verdict[key]) is not kind:
            raise ValueError(f"{where}: {key}: expected {kind.__name__}, found {verdict[key]!r}")
    if verdict["label"] not in VERDICT_LABELS:
        raise ValueError(f"{where}: label: expected one of {', '.join(VERDICT_LABELS)}, found {verdict['label']!r}")
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
