"""Stopping a diverged run before a broken policy is written; its last checkpoint stays."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from stages.common.errors import UserError

WINDOW_STEPS = 10
"""Optimizer steps over which metrics are averaged: those of a single step are noise."""

_ADVICE = "the run has diverged; lower train.learning_rate or raise train.beta"


class DivergenceCallback(TrainerCallback):
    """Raises `UserError` when the logs show divergence, before that step's checkpoint is written.

    Signs are a loss or gradient norm that is not finite; and, as means over `WINDOW_STEPS`, z0 above ``max_kl`` nats
    per completion token, and a log-probability of the end token after correct completions that has fallen by more than
    ``max_eos_drop`` nats since the first steps: completions would no longer end, which training, which samples none,
    would not notice. The limits are read from the training arguments, where those have them.
    """

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer after each optimizer step: the last one is logged too, whatever its number."""
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called by the trainer with the means since the last log, which are the last entry of the history."""
        step, entries = state.global_step, state.log_history
        recent = [entry for entry in entries if entry["step"] > step - WINDOW_STEPS]
        first = [entry for entry in entries if entry["step"] <= WINDOW_STEPS] or entries[:1]
        is_enough = step >= min(WINDOW_STEPS, state.max_steps)
        drift = _find_drift(average_logs(recent), average_logs(first), args) if is_enough else []
        for problem in [*_find_infinite(logs or {}), *drift]:
            checkpoint = get_last_checkpoint(args.output_dir)
            where = f"; the last checkpoint is {checkpoint}" if checkpoint else ""
            raise UserError(f"step {state.global_step}: {problem}; {_ADVICE}{where}")


def average_logs(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over those of `entries` that have it."""
    values: dict[str, list[float]] = {}
    for entry in entries:
        for name, value in entry.items():
            values.setdefault(name, []).append(value)
    return {name: sum(known) / len(known) for name, known in values.items()}


def _find_infinite(logs: Mapping[str, float]) -> list[str]:
    names = [name for name in ("loss", "grad_norm") if name in logs and not math.isfinite(logs[name])]
    return [f"{name} is {logs[name]}" for name in names]


def _find_drift(logs: Mapping[str, float], first: Mapping[str, float], args: Any) -> Iterator[str]:
    max_kl, max_drop = getattr(args, "max_kl", None), getattr(args, "max_eos_drop", None)
    if max_kl is not None and logs.get("kl/token", 0.0) > max_kl:
        yield f"the KL is {logs['kl/token']:.2f} nats per token, above max_kl {max_kl}"
    if max_drop is not None and "logps/eos" in logs and "logps/eos" in first:
        drop = first["logps/eos"] - logs["logps/eos"]
        if drop > max_drop:
            yield f"the end token's log-probability has fallen by {drop:.2f} nats, above max_eos_drop {max_drop}"


def check_weights(model: torch.nn.Module) -> None:
    """Raise `UserError` naming the first weight with a value that is not finite."""
    for name, parameter in model.named_parameters():
        # DeepSpeed leaves a parameter empty and keeps this process's shard in ds_tensor.
        if not bool(torch.isfinite(getattr(parameter, "ds_tensor", parameter)).all()):
            raise UserError(f"{name}: not finite after training; {_ADVICE}")
