"""The trainer's log as the report keeps it."""

from __future__ import annotations

from typing import Any

NAMES = {
    "step": "step",
    "loss": "loss",
    "loss/outcome": "loss_outcome",
    "loss/step": "loss_step",
    "kl": "z0",
    "kl/step": "z_step",
    "rewards/chosen": "reward_right",
    "rewards/rejected": "reward_wrong",
    "rewards/margins": "reward_margin",
    "steps/rewards/right": "step_reward_right",
    "steps/rewards/wrong": "step_reward_wrong",
    "steps/rewards/margins": "step_reward_margin",
    "steps/accuracy": "step_accuracy",
    "entropy": "entropy",
    "kl/token": "z0_per_token",
    "logps/end": "end_logp",
    "padding": "padding",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
}
"""A logged quantity and its name in the report. Rewards are beta times a log-ratio; means since the last log."""


def history(log: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Entries of training (not the closing summary) under the report's names; what a method lacks is left out."""
    return [
        {name: entry[logged] for logged, name in NAMES.items() if logged in entry} for entry in log if "loss" in entry
    ]
