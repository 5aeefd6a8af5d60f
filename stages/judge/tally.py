"""What a round's labels come to: counts for the stage's report."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stages.judge.label import Labels


class Tally:
    """Sums over the tables of a round."""

    def __init__(self) -> None:
        self._labels = Counter({"right": 0, "wrong": 0, "unknown": 0})
        self._unknown: Counter[str] = Counter()
        self._agreement = 0.0
        self._unanimous = 0
        self._tries: Counter[int] = Counter()
        self._unusable: Counter[str] = Counter()

    def add(self, labels: Labels) -> None:
        """Count one table more."""
        known = labels.judged.drop_nulls("label")
        right = int(known["label"].sum())
        self._labels.update(right=right, wrong=known.height - right, unknown=labels.judged.height - known.height)
        self._unknown.update(labels.unknown)
        self._agreement += float(known["agreement"].sum())
        self._unanimous += int((known["agreement"] == 1.0).sum())
        self._tries.update(labels.replies["attempt"].to_list())
        self._unusable.update(labels.unusable)

    def report(self) -> dict[str, Any]:
        """Labels; unknown steps by reason; how far votes agree where there is a label; tries and what was wrong.

        Shares are 0 to 1, null where they are shares of nothing.
        """
        steps = self._labels.total()
        known = steps - self._labels["unknown"]
        return {
            "steps": steps,
            "labels": dict(self._labels),
            "unknown": {
                "share": _share(self._labels["unknown"], steps),
                "reasons": dict(sorted(self._unknown.items())),
            },
            "agreement": {
                "mean": _share(self._agreement, known),
                "unanimous": _share(self._unanimous, known),
            },
            "replies": {
                "by_try": {str(attempt + 1): count for attempt, count in sorted(self._tries.items())},
                "unusable": dict(sorted(self._unusable.items())),
            },
        }


def _share(part: float, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
