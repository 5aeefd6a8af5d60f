"""Entries that are read together, and their verdicts, some of which may have to wait for algebra."""

from __future__ import annotations

from collections.abc import Sequence

from stages.outcome.reading import Reading
from stages.outcome.verdict import Verdict, grader_version
from stages.outcome.words import Decision


class Batch:
    """`size` verdicts that are given out together; `missing` of their readings and decisions are not there yet."""

    __slots__ = ("_verdicts", "missing", "size")

    def __init__(self, size: int) -> None:
        self.size = self.missing = size
        self._verdicts: list[Verdict | Waiting] = []

    def put(self, start: int, verdicts: Sequence[Verdict | Waiting]) -> None:
        """Take the verdicts of entries `start` and the following ones, or what these wait for."""
        if not self._verdicts:
            self._verdicts = [verdicts[0]] * self.size  # in the places of those that come later
        self._verdicts[start : start + len(verdicts)] = verdicts
        self.missing -= len(verdicts)

    def wait(self) -> None:
        """Count one decision more that is missing."""
        self.missing += 1

    def verdicts(self) -> list[Verdict]:
        """The verdicts, in order, once none is missing."""
        assert self.missing == 0
        return [one.verdict() if isinstance(one, Waiting) else one for one in self._verdicts]


class Waiting:
    """What algebra must decide for a batch; entries that read alike share it."""

    __slots__ = ("_batch", "_decision", "_reading", "_seconds")

    def __init__(self, batch: Batch, reading: Reading, seconds: float) -> None:
        self._batch = batch
        self._reading = reading
        self._seconds = seconds
        self._decision: Decision | None = None
        batch.wait()

    def decide(self, decision: Decision, seconds: float) -> None:
        """Take the decision, which took `seconds`."""
        self._decision = decision
        self._seconds += seconds
        self._batch.missing -= 1

    def verdict(self) -> Verdict:
        assert self._decision is not None
        return verdict_of(self._reading, self._decision, self._seconds)


def verdict_of(reading: Reading, decision: Decision, seconds: float) -> Verdict:
    """The verdict on a reading, with what it took in all."""
    return Verdict(*decision, reading.gold, reading.answer, reading.found_by, seconds, grader_version())
