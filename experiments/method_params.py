"""What the experiment on methods compares in each world: methods, the params tried for each, amounts of label noise."""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from experiments.variants import Variant
from stages.common.params.block import read_yaml
from stages.common.params.recipe import merge

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


def list_toy_tries(method: str) -> list[dict[str, Any]]:
    """Eight pairs of learning rate and beta; RFT, which has no beta, gets as many learning rates."""
    if method == "rft":
        return [{"method": method, "learning_rate": rate} for rate in (7.5e-5 * 2**k for k in range(8))]
    # 5 is the recipe's, chosen for Step-KTO at 3e-4; 1 pulls less towards the reference. IPO's log-ratios are per
    # token: it drives them 1 / (2 beta) nats apart, over about 45 tokens. SimPO: the paper's, and four times it, since
    # toy arithmetic's tokens have much smaller losses than text.
    betas = {"ipo": (2.0, 10.0), "simpo": (2.5, 10.0)}.get(method, (1.0, 5.0))
    return [
        {"method": method, "learning_rate": rate, "beta": beta}
        # Its paper's ratio to start from.
        | ({"simpo_gamma": beta / 2} if method == "simpo" else {})
        for beta, rate in product(betas, (1.5e-4, 3e-4, 6e-4, 1.2e-3))
    ]


def list_school_tries(method: str) -> list[dict[str, Any]]:
    """Two learning rates each, since a try takes a core a quarter of an hour.

    At 5e-5 with beta 1 a first round made Step-KTO and KTO worse.
    """
    if method == "rft":
        return [{"method": method, "packing": False, "learning_rate": rate} for rate in (1e-5, 3e-5)]
    return [{"method": method, "beta": 5.0, "learning_rate": rate} for rate in (1e-5, 3e-6)]


VLLM_ON_A_CORE = {"distributed_executor_backend": "uni", "max_num_seqs": 256}
"""More sequences side by side than vLLM's own choice on a CPU: it was no slower for each."""


@dataclass(frozen=True)
class World:
    """Problems and a seed model in which methods are compared."""

    recipe: Path
    laid_over: dict[str, Any]
    """What differs from the recipe, for the sake of the number of chains."""
    methods: tuple[str, ...]
    tuning_seeds: tuple[int, ...]
    """Seeds on which params are chosen, by the validation problems."""
    seeds: tuple[int, ...]
    noise: tuple[float, ...]
    """Fractions of step labels that are flipped, for methods that read them; the first is 0."""
    out: Path
    tries: dict[str, list[dict[str, Any]]] = field(repr=False)
    """The `train` params that are tried for each method, the same number for each."""

    def read_recipe(self, path: Path | None = None) -> dict[str, Any]:
        """The world's recipe, or that at `path` instead, with what is laid over it."""
        recipe: dict[str, Any] = merge(read_yaml(path or self.recipe), self.laid_over)
        return recipe


WORLDS = {
    "toy_arithmetic": World(
        recipe=Path("params.yaml"),
        laid_over={"sample": {"num_problems": 250}, "evaluate": {"num_majority_samples": 0}},
        methods=tuple(METHODS),
        tuning_seeds=(11, 12),
        seeds=(101, 102, 103, 104, 105),
        noise=NOISE,
        out=Path("docs/results/methods"),
        tries={method: list_toy_tries(method) for method in METHODS},
    ),
    # One seed: M0 and a chain of rounds take hours of a core. Params are chosen by the validation problems.
    "school": World(
        recipe=Path("recipes/smollm2-school.yaml"),
        laid_over={
            "sample": {"engine": {"kind": "vllm", "vllm": {"max_model_len": 512, "engine_args": VLLM_ON_A_CORE}}},
            "runtime": {"num_threads": 1},
        },
        methods=("step_kto", "kto", "rft"),
        tuning_seeds=(1,),
        seeds=(1,),
        noise=(0.0,),
        out=Path("docs/results/smollm2/methods"),
        tries={method: list_school_tries(method) for method in ("step_kto", "kto", "rft")},
    ),
}
"""By name."""


def name_noisy(method: str, noise: float) -> str:
    """Name of a chain: the method, and the percentage of flipped labels where there are any."""
    return f"{method}-noise{noise * 100:g}" if noise else method


def list_variants(methods: list[str]) -> tuple[Variant, ...]:
    """`methods` as variants of an experiment, for its tables and plot."""
    return tuple(Variant(*METHODS[method], {"train": {"method": method}}) for method in methods)
