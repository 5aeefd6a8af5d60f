"""The rounds of each experiment: the recipe's own chain, and the same chain with other params, all from one M0."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A chain of rounds: the `letter` of their names, a title, and the params that it overrides."""

    letter: str
    title: str
    override: dict[str, Any]


_TOO_HIGH: dict[str, Any] = {"learning_rate": 3e-3, "max_displacement": None}

EXPERIMENTS = {
    "baselines": (
        Variant("M", "Step-KTO", {"train": {"method": "step_kto"}}),
        Variant("K", "KTO", {"train": {"method": "kto"}}),
        Variant("R", "RFT", {"train": {"method": "rft"}}),
    ),
    "selection": (
        Variant("M", "every sample", {}),
        Variant("P", "2 correct + 2 incorrect", {
            "select": {"max_correct": 2, "max_incorrect": 2, "require_both": True, "balance": True},
        }),
        Variant("U", "2 + 2, distinct", {
            "select": {
                "max_correct": 2, "max_incorrect": 2, "require_both": True, "balance": True, "deduplicate": True,
            },
        }),
    ),
    # `make ablations` runs these four.
    "w_step": (
        Variant("M", "w_step 1", {"train": {"w_step": 1.0}}),
        Variant("Z", "w_step 0", {"train": {"w_step": 0.0}}),
        Variant("H", "w_step 0.5", {"train": {"w_step": 0.5}}),
        Variant("D", "w_step 2", {"train": {"w_step": 2.0}}),
    ),
    "after_first_error": (
        Variant("M", "keep", {"train": {"after_first_error": "keep"}}),
        Variant("A", "mask", {"train": {"after_first_error": "mask"}}),
        Variant("T", "truncate", {"train": {"after_first_error": "truncate"}}),
    ),
    "beta": (
        Variant("M", "beta 5", {"train": {"beta": 5.0}}),
        Variant("B", "beta 1", {"train": {"beta": 1.0}}),
        Variant("C", "beta 0.1", {"train": {"beta": 0.1}}),
    ),
    "label_noise": (
        Variant("M", "exact step labels", {"judge": {"label_noise": 0.0}}),
        Variant("F", "5% flipped", {"judge": {"label_noise": 0.05}}),
        Variant("G", "20% flipped", {"judge": {"label_noise": 0.2}}),
        Variant("K", "KTO", {"train": {"method": "kto"}}),
    ),
    "displacement": (
        Variant("M", "defaults", {}),
        Variant("N", "NLL of correct completions", {"train": {"nll_weight": 1.0}}),
        Variant("O", "NLL of correct steps", {"train": {"nll_weight": 1.0, "nll_on": "steps"}}),
        Variant("S", "step_beta 1", {"train": {"step_beta": 1.0}}),
        Variant("L", "log-ratios per token", {
            "train": {"normalize_by_length": True, "beta": 225.0, "step_beta": 40.0},
        }),
        Variant("C", "z not clamped", {"train": {"z_clamp": False}}),
        Variant("R", "z not clamped, running mean", {"train": {"z_clamp": False, "z_momentum": 0.9}}),
        Variant("H", "10 times the learning rate", {"train": _TOO_HIGH}),
        Variant("I", "10 times, NLL of completions", {"train": _TOO_HIGH | {"nll_weight": 1.0}}),
        Variant("J", "10 times, z not clamped", {"train": _TOO_HIGH | {"z_clamp": False}}),
    ),
}  # fmt: skip
"""Variants by experiment; the others are compared with the first."""

RECIPES: dict[str, dict[str, Any]] = {"displacement": {"evaluate": {"split": "validation"}}}
"""What an experiment's recipe says beside its rounds."""


def list_rounds(variant: Variant, rounds: int) -> list[str]:
    """M0 and the names of the variant's rounds."""
    return ["M0", *(f"{variant.letter}{number}" for number in range(1, rounds + 1))]


def build_rounds(variants: tuple[Variant, ...], rounds: int) -> dict[str, dict[str, Any]]:
    """The `rounds` block of a recipe: ``{"M1": {"policy": "M0", "train": {"method": "step_kto"}}, ...}``."""
    block: dict[str, dict[str, Any]] = {}
    for variant in variants:
        names = list_rounds(variant, rounds)
        for policy, name in pairwise(names):
            block[name] = {"policy": policy, **variant.override}
    return block
