"""Which rounds a study runs: the recipe's own chain, and the same chain with other settings, all from one M0."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Arm:
    """A chain of rounds: the `letter` of their names, what sets them apart in words, and as overrides."""

    letter: str
    title: str
    override: dict[str, Any]


STUDIES = {
    "methods": (
        Arm("M", "Step-KTO", {"train": {"method": "step_kto"}}),
        Arm("K", "KTO", {"train": {"method": "kto"}}),
        Arm("R", "RFT", {"train": {"method": "rft"}}),
    ),
    "selection": (
        Arm("M", "every sample", {}),
        Arm("P", "2 right + 2 wrong", {
            "dataset": {"max_correct": 2, "max_incorrect": 2, "require_both": True, "balance": True},
        }),
        Arm("U", "2 + 2, distinct", {
            "dataset": {
                "max_correct": 2, "max_incorrect": 2, "require_both": True, "balance": True, "deduplicate": True,
            },
        }),
    ),
    # What training's own settings are worth: `make ablations` runs these four.
    "w_step": (
        Arm("M", "w_step 1", {"train": {"w_step": 1.0}}),
        Arm("Z", "w_step 0", {"train": {"w_step": 0.0}}),
        Arm("H", "w_step 0.5", {"train": {"w_step": 0.5}}),
        Arm("D", "w_step 2", {"train": {"w_step": 2.0}}),
    ),
    "after_first_error": (
        Arm("M", "keep", {"train": {"after_first_error": "keep"}}),
        Arm("A", "mask", {"train": {"after_first_error": "mask"}}),
        Arm("T", "truncate", {"train": {"after_first_error": "truncate"}}),
    ),
    "beta": (
        Arm("M", "beta 5", {"train": {"beta": 5.0}}),
        Arm("B", "beta 1", {"train": {"beta": 1.0}}),
        Arm("C", "beta 0.1", {"train": {"beta": 0.1}}),
    ),
    "label_noise": (
        Arm("M", "exact step labels", {"judge": {"flip": 0.0}}),
        Arm("F", "5% flipped", {"judge": {"flip": 0.05}}),
        Arm("G", "20% flipped", {"judge": {"flip": 0.2}}),
        Arm("K", "KTO", {"train": {"method": "kto"}}),
    ),
}  # fmt: skip
"""Arms by study; the first is what the others are compared with."""


def round_names(arm: Arm, rounds: int) -> list[str]:
    """M0 and the arm's rounds."""
    return ["M0", *(f"{arm.letter}{number}" for number in range(1, rounds + 1))]


def arm_rounds(arms: tuple[Arm, ...], rounds: int) -> dict[str, dict[str, Any]]:
    """The `rounds` block of a recipe: ``{"M1": {"policy": "M0", "train": {"method": "step_kto"}}, ...}``."""
    made: dict[str, dict[str, Any]] = {}
    for arm in arms:
        names = round_names(arm, rounds)
        for policy, name in pairwise(names):
            made[name] = {"policy": policy, **arm.override}
    return made
