"""Stopping a diverged run before a broken policy is written; its last checkpoint stays."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from stages.common.errors import UserError
from stages.train.trainer.displacement import ADVICE, Displacement, find_displaced

logger = logging.getLogger(__name__)

WINDOW_STEPS = 10
"""Optimizer steps over which metrics are averaged: those of a single step are noise."""

STOP_AFTER_STEPS = 20
"""Optimizer steps for which displacement has to last to stop a run: on toy arithmetic a run with the NLL term passed
through 10 such steps and recovered."""

_ADVICE = "the run has diverged; lower train.learning_rate or raise train.beta"


class DivergenceCallback(TrainerCallback):
    """Raises `UserError` when the logs show divergence, before that step's checkpoint is written.

    Signs are a loss or gradient norm that is not finite; and, as means over `WINDOW_STEPS`, z0 above ``max_kl`` nats
    per completion token, and a log-probability of the end token after correct completions that has fallen by more than
    ``max_eos_drop`` nats since the first steps: completions would no longer end, which training, which samples none,
    would not notice. Displacement (`find_displaced`, with the limit ``max_displacement``) is warned of, and stops a run
    in which it lasts for `STOP_AFTER_STEPS` (for `WINDOW_STEPS` at the end) and does not recover. Limits are read from
    the training arguments that have them.
    """

    def __init__(self) -> None:
        self._has_warned = False

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer after each optimizer step: the last one is logged too, whatever its number."""
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called by the trainer with the means since the last log, which are the last entry of the history."""
        step, entries = state.global_step, state.log_history
        first = [entry for entry in entries if entry["step"] <= WINDOW_STEPS] or entries[:1]
        is_enough = step >= min(WINDOW_STEPS, state.max_steps)
        recent = average_logs(_select_window(entries, step))
        drift = _find_drift(recent, average_logs(first), args) if is_enough else []
        for problem in [*_find_infinite(logs or {}), *drift]:
            self._stop(args, step, f"{problem}; {_ADVICE}")
        # A run that ends displaced has no more steps to recover in.
        stop_after_steps = STOP_AFTER_STEPS if step < state.max_steps else WINDOW_STEPS
        for displaced in find_displaced(recent, _read_limit(args)) if step >= WINDOW_STEPS else []:
            problem = f"{displaced}; {ADVICE}"
            if _has_lasted(displaced, entries, step, stop_after_steps):
                self._stop(args, step, problem)
            elif not self._has_warned:
                self._has_warned = True
                logger.warning("step %d: %s; the run stops if this lasts for %d steps", step, problem, STOP_AFTER_STEPS)

    def _stop(self, args: Any, step: int, problem: str) -> None:
        checkpoint = get_last_checkpoint(args.output_dir)
        where = f"; the last checkpoint is {checkpoint}" if checkpoint else ""
        raise UserError(f"step {step}: {problem}{where}")


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


def _has_lasted(now: Displacement, entries: Sequence[Mapping[str, float]], step: int, stop_after_steps: int) -> bool:
    """Whether `now`'s level was displaced in all windows that ended `stop_after_steps` ago or later, and no more in the
    first of them: what loses less than before is recovering."""
    start = step - stop_after_steps
    ends = [int(entry["step"]) for entry in entries if start <= entry["step"] < step]
    losses = [
        {found.level: found.loss for found in find_displaced(average_logs(_select_window(entries, end)), now.limit)}
        for end in ends
    ]
    has_lasted = start >= WINDOW_STEPS and bool(losses) and all(now.level in found for found in losses)
    return has_lasted and losses[0][now.level] <= now.loss


def _read_limit(args: Any) -> float | None:
    limit: float | None = getattr(args, "max_displacement", None)
    return limit


def _select_window(entries: Sequence[Mapping[str, float]], end: int) -> list[Mapping[str, float]]:
    return [entry for entry in entries if end - WINDOW_STEPS < entry["step"] <= end]


def check_weights(model: torch.nn.Module) -> None:
    """Raise `UserError` naming the first weight with a value that is not finite."""
    for name, parameter in model.named_parameters():
        # DeepSpeed leaves a parameter empty and keeps this process's shard in ds_tensor.
        if not bool(torch.isfinite(getattr(parameter, "ds_tensor", parameter)).all()):
            raise UserError(f"{name}: not finite after training; {_ADVICE}")
