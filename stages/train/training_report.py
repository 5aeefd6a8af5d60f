"""The train stage's report, with the trainer's log."""

import math
import statistics
from collections import Counter
from itertools import groupby
from typing import Any

from stages.common.params.train import PAIR_METHODS, TrainParams
from stages.common.runs import record_facts
from stages.train.build_trainer import TrainerSetup
from stages.train.trainer.divergence import WINDOW_STEPS, average_logs

UNREPORTED_METRICS = ("tokens_per_second", "num_tokens")
"""Logged metrics that are not the same after a restart."""

LAST_METRICS = ("epoch", "grad_norm", "learning_rate", "step")
"""Metrics of which the history keeps the last and not the mean."""


def summarize_training(setup: TrainerSetup, params: TrainParams) -> dict[str, Any]:
    """What the trainer was given and logged; docs/training.md explains the metrics, means over up to ten steps."""
    log = [entry for entry in setup.trainer.state.log_history if "loss" in entry]  # not the closing summary
    speeds = [entry["tokens_per_second"] for entry in log if "tokens_per_second" in entry]
    record_facts(tokens_per_second=round(statistics.median(speeds), 1) if speeds else None)
    history = _shorten_history(log, math.gcd(params.save_steps, WINDOW_STEPS))
    return {
        **(_count_pairs if params.method in PAIR_METHODS else _count_rows)(setup.rows, params),
        "method": params.method,
        "drops": setup.drops.report(),
        "num_steps": setup.trainer.state.global_step,
        "final": history[-1] if history else {},
        "history": history,
    }


def _shorten_history(log: list[dict[str, float]], size: int) -> list[dict[str, float]]:
    """An entry per `size` steps."""
    entries = []
    for _, group in groupby(log, lambda entry: (entry["step"] - 1) // size):
        steps = list(group)
        mean = average_logs(steps) | {name: steps[-1][name] for name in LAST_METRICS if name in steps[-1]}
        entries.append({name: value for name, value in mean.items() if name not in UNREPORTED_METRICS})
    return entries


def _count_rows(rows: Any, params: TrainParams) -> dict[str, Any]:
    """What was trained on per epoch: rows, tokens, and labels of outcomes and steps."""
    labels = Counter(label for row in rows["step_labels"] for label in row)
    outcomes = Counter(zip(rows["label"], rows["outcome_known"], strict=True))
    tokens = sum(map(len, rows["prompt_ids"])) + sum(map(len, rows["completion_ids"]))
    return {
        "rows": len(rows),
        "tokens": tokens,
        "tokens_seen": tokens * params.num_epochs,
        "token_ids": {"sampled": sum(rows["is_sampled"]), "encoded": len(rows) - sum(rows["is_sampled"])},
        "labels": {
            "outcome": {
                "correct": outcomes[True, True],
                "incorrect": outcomes[False, True],
                "masked": sum(count for (_, is_known), count in outcomes.items() if not is_known),
            },
            "step": {"correct": labels[1], "incorrect": labels[0], "unknown": labels[-1]},
        },
    }


def _count_pairs(pairs: Any, params: TrainParams) -> dict[str, Any]:
    """The same of pairs: each has a correct and an incorrect completion or, of step_dpo, step."""
    num_prompt, num_chosen, num_rejected = (
        sum(map(len, pairs[name])) for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    )
    tokens = 2 * num_prompt + num_chosen + num_rejected
    both = {"correct": len(pairs), "incorrect": len(pairs)}
    none = {"correct": 0, "incorrect": 0}
    outcomes, steps = (none, both) if params.method == "step_dpo" else (both, none)
    return {
        "pairs": len(pairs),
        "rows": 2 * len(pairs),
        "tokens": tokens,
        "tokens_seen": tokens * params.num_epochs,
        "labels": {"outcome": {**outcomes, "masked": 0}, "step": {**steps, "unknown": 0}},
    }
