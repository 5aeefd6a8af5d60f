"""What the experiment on methods compares: methods, the params that are tried for each, and amounts of label noise."""

from itertools import product
from typing import Any

from experiments.variants import Variant

METHODS = {
    "step_kto": ("M", "Step-KTO"),
    "kto": ("K", "KTO"),
    "rft": ("R", "RFT"),
    "dpo": ("D", "DPO"),
    "ipo": ("I", "IPO"),
    "irpo": ("T", "IRPO"),
    "simpo": ("S", "SimPO"),
    "step_dpo": ("P", "Step-DPO"),
}
"""Letter of a method's rounds in tables, and its title."""

STEP_METHODS = ("step_kto", "step_dpo")
"""Methods that read step labels, and so their noise."""

NOISE = (0.0, 0.05, 0.1, 0.2, 0.3)
"""Fractions of step labels that are flipped."""

TUNING_SEEDS = (11, 12)
"""Seeds on which params are chosen; the results' seeds begin at 101."""

_LEARNING_RATES = (1.5e-4, 3e-4, 6e-4)
_RFT_LEARNING_RATES = (7.5e-5, *_LEARNING_RATES, 1.2e-3, 2.4e-3)
_BETAS = {
    # 5 is the recipe's, chosen for Step-KTO at 3e-4; 1 pulls less towards the reference.
    **dict.fromkeys(("step_kto", "kto", "dpo", "irpo", "step_dpo"), (1.0, 5.0)),
    # IPO's log-ratios are per token: it drives them 1 / (2 beta) nats apart, over about 45 tokens.
    "ipo": (2.0, 10.0),
    # The paper's, and four times it: toy arithmetic's tokens have much smaller losses than text.
    "simpo": (2.5, 10.0),
}

NUM_TRIES = 6
"""Pairs of learning rate and beta per method; RFT, which has no beta, gets as many learning rates."""


def list_tries(method: str) -> list[dict[str, Any]]:
    """The `train` params that are tried for `method`, `NUM_TRIES` of them."""
    if method == "rft":
        return [{"method": method, "learning_rate": rate} for rate in _RFT_LEARNING_RATES]
    return [
        {"method": method, "learning_rate": rate, "beta": beta}
        # Its paper's ratio to start from.
        | ({"simpo_gamma": beta / 2} if method == "simpo" else {})
        for beta, rate in product(_BETAS[method], _LEARNING_RATES)
    ]


def name_noisy(method: str, noise: float) -> str:
    """Name of a chain: the method, and the percentage of flipped labels where there are any."""
    return f"{method}-noise{noise * 100:g}" if noise else method


def list_variants(methods: list[str]) -> tuple[Variant, ...]:
    """`methods` as variants of an experiment, for its tables and plot."""
    return tuple(Variant(*METHODS[method], {"train": {"method": method}}) for method in methods)
