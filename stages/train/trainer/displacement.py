"""Displacement: correct text becomes less likely in training, only less so than incorrect text (arXiv 2410.08847)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MIN_BALANCED_ACCURACY = 0.55
"""Below it, training accuracy has not risen: as the mean over both labels it is 0.5 before the first step, where no
log-ratio is above z. 0.05 is the noise of a window of a few hundred rows."""

LEVELS = (("completions", "", ("chosen", "rejected")), ("steps", "steps/", ("correct", "incorrect")))
"""What is labelled, the prefix of its metrics, and their names for correct and incorrect ones."""

PAIR_ACCURACY = "rewards/accuracies"
"""TRL's name for the fraction of pairs whose correct side has the higher reward, in methods on pairs."""

ADVICE = (
    "training makes correct text less likely; lower train.learning_rate, raise train.beta or set train.nll_weight, or "
    "raise train.max_displacement"
)
"""What to do about it."""


@dataclass(frozen=True)
class Displacement:
    """Correct text of one level (of `LEVELS`) that has lost `loss` nats per token, above `limit`, and the accuracy."""

    level: str
    loss: float
    limit: float
    accuracy: float

    def __str__(self) -> str:
        return (
            f"correct {self.level} have lost {self.loss:.3f} nats per token against the reference, above "
            f"max_displacement {self.limit}, and training accuracy is {self.accuracy:.0%}, where 50% is chance"
        )


def find_displaced(logs: Mapping[str, float], limit: float | None) -> Iterator[Displacement]:
    """The levels whose correct text has lost more than `limit` nats per token while accuracy has not risen.

    `logs` are means over a window. The accuracy is the mean over both labels, or of pairs, or of the only label. None
    is no limit, and a level without its metrics is not displaced.
    """
    for level, prefix, names in LEVELS:
        log_ratio = logs.get(f"{prefix}log_ratios/{names[0]}/token")
        keys = [f"{prefix}accuracy/{name}" for name in names]
        accuracies = [logs[key] for key in keys if key in logs]
        if not prefix and PAIR_ACCURACY in logs:
            accuracies.append(logs[PAIR_ACCURACY])
        if limit is None or log_ratio is None or not accuracies:
            continue
        accuracy = sum(accuracies) / len(accuracies)
        if -log_ratio > limit and accuracy < MIN_BALANCED_ACCURACY:
            yield Displacement(level, -log_ratio, limit, accuracy)
