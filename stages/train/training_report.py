"""What the train stage reports: rows, labels and tokens trained on, and the trainer's log under the report's names."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from stages.common.params.train import TrainParams

if TYPE_CHECKING:
    from stages.train.build_trainer import TrainerSetup

METRIC_NAMES = {
    "step": "step",
    "loss": "loss",
    "loss/outcome": "loss_outcome",
    "loss/step": "loss_step",
    "kl": "z0",
    "kl/step": "z_step",
    "rewards/chosen": "reward_correct",
    "rewards/rejected": "reward_incorrect",
    "rewards/margins": "reward_margin",
    "steps/rewards/correct": "step_reward_correct",
    "steps/rewards/incorrect": "step_reward_incorrect",
    "steps/rewards/margins": "step_reward_margin",
    "steps/accuracy": "step_accuracy",
    "entropy": "entropy",
    "kl/token": "z0_per_token",
    "logps/eos": "eos_logp",
    "padding": "padding",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
}
"""A logged metric and its name in the report. Rewards are beta times a log-ratio; means since the last log."""


def summarize_training(setup: TrainerSetup, params: TrainParams) -> dict[str, Any]:
    """What the trainer saw and logged; metrics that a method does not log are left out."""
    log = setup.trainer.state.log_history
    history = [
        {name: entry[logged] for logged, name in METRIC_NAMES.items() if logged in entry}
        for entry in log
        if "loss" in entry  # not the closing summary
    ]
    speeds = [entry["tokens_per_second"] for entry in log if "tokens_per_second" in entry]
    return {
        **_count_rows(setup.rows, params),
        "method": params.method,
        "drops": setup.drops.report(),
        "num_steps": setup.trainer.state.global_step,
        "final": history[-1] if history else {},
        "history": history,
        "tokens_per_second": round(statistics.median(speeds), 1) if speeds else None,
    }


def _count_rows(rows: Any, params: TrainParams) -> dict[str, Any]:
    """What was trained on per epoch: rows, tokens, and labels of outcomes and steps."""
    labels = Counter(label for row in rows["step_labels"] for label in row)
    outcomes = Counter(zip(rows["label"], rows["outcome_known"], strict=True))
    tokens = sum(map(len, rows["prompt_ids"])) + sum(map(len, rows["completion_ids"]))
    return {
        "rows": len(rows),
        "tokens": tokens,
        "tokens_seen": tokens * params.num_epochs,
        "labels": {
            "outcome": {
                "correct": outcomes[True, True],
                "incorrect": outcomes[False, True],
                "masked": sum(count for (_, is_known), count in outcomes.items() if not is_known),
            },
            "step": {"correct": labels[1], "incorrect": labels[0], "unknown": labels[-1]},
        },
    }
