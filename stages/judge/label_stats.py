"""Counts over a round's labels, for the stage's report."""

from collections import Counter
from typing import Any

from stages.judge.labelling import Labels


class LabelStats:
    """Sums over the shards of a round."""

    def __init__(self) -> None:
        self._labels = Counter({"correct": 0, "incorrect": 0, "unknown": 0})
        self._unknown_reasons: Counter[str] = Counter()
        self._agreement_sum = 0.0
        self._num_unanimous = 0
        self._attempts: Counter[int] = Counter()
        self._invalid_replies: Counter[str] = Counter()

    def add(self, labels: Labels) -> None:
        """Count one more shard."""
        known = labels.labels.drop_nulls("label")
        num_correct = int(known["label"].sum())
        num_unknown = labels.labels.height - known.height
        self._labels.update(correct=num_correct, incorrect=known.height - num_correct, unknown=num_unknown)
        self._unknown_reasons.update(labels.unknown_reasons)
        self._agreement_sum += float(known["agreement"].sum())
        self._num_unanimous += int((known["agreement"] == 1.0).sum())
        self._attempts.update(labels.replies["attempt"].to_list())
        self._invalid_replies.update(labels.invalid_replies)

    def report(self) -> dict[str, Any]:
        """Labels, unknown steps by reason, agreement of the votes behind known labels, replies by attempt.

        Rates and means are 0 to 1, null over nothing.
        """
        num_steps = self._labels.total()
        num_known = num_steps - self._labels["unknown"]
        return {
            "steps": num_steps,
            "labels": dict(self._labels),
            "unknown": {
                "rate": divide(self._labels["unknown"], num_steps),
                "reasons": dict(sorted(self._unknown_reasons.items())),
            },
            "agreement": {
                "mean": divide(self._agreement_sum, num_known),
                "unanimous": divide(self._num_unanimous, num_known),
            },
            "replies": {
                "by_attempt": {str(attempt + 1): count for attempt, count in sorted(self._attempts.items())},
                "invalid": dict(sorted(self._invalid_replies.items())),
            },
        }


def divide(numerator: float, denominator: int) -> float | None:
    """The ratio to six decimals, None over nothing."""
    return round(numerator / denominator, 6) if denominator else None
