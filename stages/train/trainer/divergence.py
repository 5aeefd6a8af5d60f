"""Stopping a diverged run before a broken policy is written; its last checkpoint stays."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from stages.common.errors import UserError
from stages.train.trainer.displacement import ADVICE, Displacement, find_displaced
from stages.train.trainer.divergence_signs import (
    DivergenceLimits,
    find_drift,
    find_infinite,
    find_missing_labels,
    find_saturation,
)

logger = logging.getLogger(__name__)

WINDOW_STEPS = 10
"""Optimizer steps over which metrics are averaged: those of a single step are noise. Of a shorter run it is half."""

STOP_AFTER_STEPS = 20
"""Optimizer steps for which displacement has to last to stop a run: on toy arithmetic a run with the NLL term passed
through 10 such steps and recovered."""

_ADVICE = "the run has diverged; lower train.learning_rate or raise train.beta"


class DivergenceCallback(TrainerCallback):
    """Raises `UserError` when the logs show divergence, before that step's checkpoint is written.

    Signs are a metric that is not finite and, over a window of `WINDOW_STEPS` (of a run of fewer than two windows, half
    of its steps), means beyond `limits` (`find_drift`) and a gradient of zero (`find_saturation`). Displacement
    (`find_displaced`) is warned of, and stops a run in which it lasts for `STOP_AFTER_STEPS` (at the end, for another
    window) and does not recover: in one of fewer than two windows it cannot, and accuracies are noise. A window with
    one label alone is warned of, too. Metrics of a step come from
    before its update: `compute_last_metrics` gives them after the last one.
    """

    def __init__(
        self, limits: DivergenceLimits, compute_last_metrics: Callable[[], Mapping[str, float]] | None = None
    ) -> None:
        self._limits = limits
        self._compute_last_metrics = compute_last_metrics
        self._has_warned = False

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer after each optimizer step: the last one is logged too, whatever its number."""
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called by the trainer with the means since the last log, which are the last entry of the history."""
        step, entries = state.global_step, state.log_history
        self._stop(args, step, find_infinite(logs or {}), _ADVICE)
        size = min(WINDOW_STEPS, max(1, state.max_steps // 2))
        if step < size:
            return
        window = _select_window(entries, step, size)
        # Before the first update nothing is broken; in a short run the second step may be.
        num_first = size if size == WINDOW_STEPS else 1
        first = [entry for entry in entries if entry["step"] <= num_first] or entries[:1]
        recent = average_logs(window)
        self._stop(args, step, find_drift(recent, average_logs(first), self._limits), _ADVICE)
        self._stop(args, step, find_saturation(window), _ADVICE)
        if step == min(WINDOW_STEPS, state.max_steps):
            for missing in find_missing_labels(average_logs(entries)):
                logger.warning(
                    "step %d: %s so far: nothing tells correct from incorrect text; check its labels", step, missing
                )
        if step >= state.max_steps and self._compute_last_metrics is not None:
            after = self._compute_last_metrics()
            self._compute_last_metrics = None
            # Of one step alone, end tokens are too few.
            drift = find_drift(after, average_logs(first), replace(self._limits, max_eos_drop=None))
            problems = (f"after the last update, {problem}" for problem in (*find_infinite(after), *drift))
            self._stop(args, step, problems, _ADVICE)
        # A run that ends displaced has no more steps to recover in.
        stop_after_steps = STOP_AFTER_STEPS if step < state.max_steps else WINDOW_STEPS
        for displaced in find_displaced(recent, self._limits.max_displacement):
            if _has_lasted(displaced, entries, step, stop_after_steps, size):
                self._stop(args, step, [str(displaced)], ADVICE)
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "step %d: %s; %s; the run stops if this lasts for %d steps",
                    step,
                    displaced,
                    ADVICE,
                    STOP_AFTER_STEPS,
                )

    def _stop(self, args: Any, step: int, problems: Iterable[str], advice: str) -> None:
        for problem in problems:
            checkpoint = get_last_checkpoint(args.output_dir)
            where = f"; the last checkpoint is {checkpoint}" if checkpoint else ""
            raise UserError(f"step {step}: {problem}; {advice}{where}")


def average_logs(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over those of `entries` that have it."""
    values: dict[str, list[float]] = {}
    for entry in entries:
        for name, value in entry.items():
            values.setdefault(name, []).append(value)
    return {name: sum(known) / len(known) for name, known in values.items()}


def _has_lasted(
    now: Displacement, entries: Sequence[Mapping[str, float]], step: int, stop_after_steps: int, size: int
) -> bool:
    """Whether `now`'s level was displaced in all windows that ended `stop_after_steps` ago or later, and no more in the
    first of them: what loses less than before is recovering."""
    start = step - stop_after_steps
    ends = [int(entry["step"]) for entry in entries if start <= entry["step"] < step]
    losses = [
        {
            found.level: found.loss
            for found in find_displaced(average_logs(_select_window(entries, end, size)), now.limit)
        }
        for end in ends
    ]
    has_lasted = start >= WINDOW_STEPS and bool(losses) and all(now.level in found for found in losses)
    return has_lasted and losses[0][now.level] <= now.loss


def _select_window(entries: Sequence[Mapping[str, float]], end: int, size: int) -> list[Mapping[str, float]]:
    return [entry for entry in entries if end - size < entry["step"] <= end]


def check_weights(model: torch.nn.Module) -> None:
    """Raise `UserError` naming the first weight with a value that is not finite."""
    for name, parameter in model.named_parameters():
        # DeepSpeed leaves a parameter empty and keeps this process's shard in ds_tensor.
        if not bool(torch.isfinite(getattr(parameter, "ds_tensor", parameter)).all()):
            raise UserError(f"{name}: not finite after training; {_ADVICE}")
