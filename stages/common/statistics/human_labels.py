"""Human labels of steps: lines of an append-only file, of which the last one by an annotator on a step counts."""

import json
from pathlib import Path
from typing import Any

from stages.common.errors import UserError

HUMAN_LABEL_KEYS = {
    "annotator": str, "round": str, "sample_id": str, "step": int, "is_correct": bool, "label": str, "judge": str,
}  # fmt: skip
"""Keys of a line: who labels which step as correct or not, and what `label` the judge gave it at that time."""

JUDGE_LABELS = ("correct", "incorrect", "unknown", "none")


def check_human_label(value: Any, location: str) -> dict[str, Any]:
    """`value` itself if it is a human label; else `UserError` that begins with `location`."""
    if not isinstance(value, dict) or value.keys() != HUMAN_LABEL_KEYS.keys():
        raise UserError(f"{location}: expected an object with {', '.join(HUMAN_LABEL_KEYS)}")
    for key, expected in HUMAN_LABEL_KEYS.items():
        if type(value[key]) is not expected:
            raise UserError(f"{location}: {key}: expected {expected.__name__}, found {value[key]!r}")
    if value["label"] not in JUDGE_LABELS:
        raise UserError(f"{location}: label: expected one of {', '.join(JUDGE_LABELS)}, found {value['label']!r}")
    return value


def read_human_labels(path: Path) -> list[dict[str, Any]]:
    """The last label of each annotator on each step of a round.

    Raises `UserError` that names file and line.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; `audit serve` creates it with the first label")
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError as error:  # also a line that is not UTF-8
            raise UserError(f"{path}:{number}: not JSON; correct or remove this line") from error
        label = check_human_label(value, f"{path}:{number}")
        last[tuple(label[key] for key in ("annotator", "round", "sample_id", "step"))] = label
    return list(last.values())
