"""Signs that a training has diverged, in the means of its logs over a window of steps."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.train.trainer.displacement import LEVELS

Logs = Mapping[str, float]

FINITE_METRICS = ("loss", "grad_norm", "kl", "log_ratios", "steps", "logps", "nll", "rewards")
"""First parts of the names of metrics that no healthy training logs as NaN or infinite."""

MISMATCHED = "log_ratios/mismatched/token"
"""What z0 is made of, without its clamp, which hides a fall."""

KEPT_LOG_RATIOS = {
    MISMATCHED: "mismatched completions",
    "log_ratios/chosen/token": "correct completions",
    "steps/log_ratios/correct/token": "correct steps",
}
"""Metrics of text that training does not mean to make unlikely. Correct text may rise as far as it will."""

MIN_LOSS = 1e-6
"""With a smaller loss, a gradient of zero is that of a training that has nothing left to learn."""


@dataclass(frozen=True)
class DivergenceLimits:
    """Limits of `DivergenceCallback`; None is no limit, and what is not logged is not limited."""

    max_kl: float | None = 2.0
    """Nats per token by which a mean log-ratio, or `nll_metric` since the first window, may change."""
    max_eos_drop: float | None = 5.0
    """Nats by which the end token's mean log-prob after correct completions may fall since the first window."""
    max_displacement: float | None = 0.02
    """The limit of `find_displaced`."""
    nll_metric: str | None = None
    """Of a method without a reference, the metric that is the negative log-prob of correct text per token."""


def find_infinite(logs: Logs) -> Iterator[str]:
    """The metrics of one step that are not finite."""
    for name, value in logs.items():
        if name.split("/")[0] in FINITE_METRICS and not math.isfinite(value):
            yield f"{name} is {value}"


def find_drift(recent: Logs, first: Logs, limits: DivergenceLimits) -> Iterator[str]:
    """What has moved beyond `limits`; `recent` and `first` are means over the last and the first window."""
    max_kl, max_drop, nll = limits.max_kl, limits.max_eos_drop, limits.nll_metric
    for name, text in KEPT_LOG_RATIOS.items():
        log_ratio = recent.get(name, 0.0)
        change = abs(log_ratio) if name == MISMATCHED else -log_ratio
        if max_kl is not None and change > max_kl:
            yield f"the mean log-ratio of {text} is {log_ratio:.2f} nats per token, beyond max_kl {max_kl}"
    if max_kl is not None and nll is not None and recent.get(nll, 0.0) - first.get(nll, math.inf) > max_kl:
        yield f"correct text has lost {recent[nll] - first[nll]:.2f} nats per token, beyond max_kl {max_kl}"
    if max_drop is not None and "logps/eos" in recent and "logps/eos" in first:
        drop = first["logps/eos"] - recent["logps/eos"]
        if drop > max_drop:
            yield f"the end token's log-probability has fallen by {drop:.2f} nats, above max_eos_drop {max_drop}"


def find_saturation(window: Sequence[Logs]) -> Iterator[str]:
    """A gradient of exactly zero in all steps of `window` though there is a loss: nothing is learned any more."""
    norms = [entry["grad_norm"] for entry in window if "grad_norm" in entry]
    losses = [entry["loss"] for entry in window if "loss" in entry]
    if norms and not any(norms) and sum(losses) > MIN_LOSS * len(losses):
        yield f"the gradient is zero in {len(norms)} steps, while the mean loss is {sum(losses) / len(losses):.2f}"


def find_missing_labels(recent: Logs) -> Iterator[str]:
    """The labels that a level lacks while it has the other one: nothing then tells correct text from incorrect."""
    for level, prefix, names in LEVELS:
        given = [f"{prefix}accuracy/{name}" in recent for name in names]
        for label, is_given in zip(("correct", "incorrect"), given, strict=True):
            if any(given) and not is_given:
                yield f"no {label} {level}"
