"""Human labels for tests."""

from typing import Any

from stages.common.human_labels import HumanLabel

CELLS: dict[str, Any] = {
    "annotator": "me",
    "round": "M1",
    "sample_id": "0" * 32,
    "problem_id": "0" * 32,
    "step": 0,
    "text_hash": "89abcdef",
    "label": "correct",
    "kind": "own",
    "mode": "per_step",
    "queue": "random",
    "is_blind": True,
    "seconds": 2.5,
    "time": "2026-01-02T03:04:05.678+00:00",
    "page_version": "0123abcd",
    "guideline_version": "abcd0123",
    "judge_label": "correct",
    "judge": "j",
}
"""A line of a file of human labels."""


def human_label(**cells: Any) -> HumanLabel:
    return HumanLabel.model_validate(CELLS | cells)
