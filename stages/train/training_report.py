"""What the train stage reports: rows, labels and tokens trained on, and the trainer's log."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from stages.common.params.train import TrainParams
from stages.train.build_trainer import TrainerSetup

UNREPORTED_METRICS = ("tokens_per_second", "num_tokens")
"""Logged metrics that are not the same after a restart."""


def summarize_training(setup: TrainerSetup, params: TrainParams) -> dict[str, Any]:
    """What the trainer was given and logged; docs/training.md explains the metrics, means since the last log."""
    log = setup.trainer.state.log_history
    history = [
        {name: value for name, value in entry.items() if name not in UNREPORTED_METRICS}
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
