"""From entries to verdicts in their order: reading, comparing, and remembering what was compared."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any

from stages.outcome.pool import Workers
from stages.outcome.reading import Entry, Pair, Reading, read
from stages.outcome.verdict import Verdict, grader_version
from stages.outcome.words import Decision
from stages.outcome.worker import Chunk, Reply

_WINDOW = 1 << 14
"""Verdicts held back at most for one that comes before them: memory does not grow with the number of pairs."""

_CHUNK = 256
_CHUNK_CHARACTERS = 1 << 19
"""Entries, and about how many characters of solutions, that one process reads in one go."""

_LOOK = 64
"""Entries or verdicts after which the processes are looked after, so that none waits long for its next job."""

_REMEMBERED = 1 << 15
"""Comparisons kept for pairs that come again."""


class _Slot:
    """The place of an entry among the verdicts: decided, or waiting for a process."""

    __slots__ = ("decision", "reading", "seconds")

    def __init__(self) -> None:
        self.reading: Reading | None = None
        self.decision: Decision | None = None
        self.seconds = 0.0

    def verdict(self, grader: str) -> Verdict:
        assert self.reading is not None
        assert self.decision is not None
        gold, answer, found_by, _ = self.reading
        return Verdict(*self.decision, gold, answer, found_by, self.seconds, grader)


class Grader:
    """Decides entries, remembers comparisons, and asks for algebra where nothing quicker decides.

    With one process, that one is kept for algebra and entries are read here; with more, they read too.
    """

    def __init__(self, workers: int, timeout_s: float) -> None:
        self._workers = Workers(workers, timeout_s)
        self._known: OrderedDict[Pair, Decision] = OrderedDict()
        self._waiting: dict[Pair, list[_Slot]] = {}
        self.processor_s = 0.0
        """Processor seconds of the grading processes, their start apart."""
        self._since_look = 0

    def start(self) -> None:
        """Start the processes now, instead of when there is work for them."""
        self._workers.start()

    def close(self) -> None:
        """End the processes."""
        self._workers.close()

    def grade(self, entries: Iterable[Entry]) -> Iterator[Verdict]:
        """Verdicts of `entries`, in order; whatever is wrong with one, the others do not notice."""
        version = grader_version()
        window: deque[_Slot] = deque()
        for slots in self._submit_all(entries):
            window.extend(slots)
            while window and (window[0].decision is not None or len(window) >= _WINDOW):
                yield self._first(window, version)
        while window:
            yield self._first(window, version)

    def _first(self, window: deque[_Slot], version: str) -> Verdict:
        while window[0].decision is None:
            self._collect()
        self._look()
        return window.popleft().verdict(version)

    def _submit_all(self, entries: Iterable[Entry]) -> Iterator[list[_Slot]]:
        """Slots of `entries`, whose readings are on their way."""
        if self._workers.count == 1:
            for entry in entries:
                yield [self._read_here(entry)]
                self._look()
            return
        for chunk in _chunks(entries):
            slots = [_Slot() for _ in chunk]
            self._workers.submit(Chunk(chunk, slots))
            yield slots
            while self._workers.unread > 3 * self._workers.count:
                self._collect()

    def _read_here(self, entry: Entry) -> _Slot:
        slot = _Slot()
        began = time.perf_counter()
        reading = read(entry)
        slot.seconds = time.perf_counter() - began
        self._enter(slot, reading)
        return slot

    def _enter(self, slot: _Slot, reading: Reading) -> None:
        """Note what was read; a pair that is not known yet goes to algebra."""
        slot.reading = reading
        decided = reading.decided
        if not isinstance(decided, Pair):
            slot.decision = decided
        elif decided in self._known:
            slot.decision = self._known[decided]
        elif decided in self._waiting:
            self._waiting[decided].append(slot)
        else:
            self._waiting[decided] = [slot]
            self._workers.submit(decided)

    def _look(self) -> None:
        self._since_look += 1
        if self._since_look >= _LOOK:
            self._since_look = 0
            self._collect(wait=False)

    def _collect(self, wait: bool = True) -> None:
        for job, reply in self._workers.collect(wait):
            self.processor_s += reply.seconds
            if isinstance(job, Pair):
                self._compared(job, reply)
            else:
                self._were_read(job, reply)

    def _compared(self, pair: Pair, reply: Reply) -> None:
        value, reason = reply.content
        self._known[pair] = (value, reason)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        for slot in self._waiting.pop(pair):
            slot.decision = (value, reason)
            slot.seconds += reply.seconds

    def _were_read(self, chunk: Chunk, reply: Reply) -> None:
        seconds = reply.seconds / len(chunk.owners)
        if isinstance(reply.content, tuple):
            readings, order = [_unread(chunk.entries[0], reply)], [0]
        else:
            readings, order = [_reading(row) for row in reply.content[0]], reply.content[1]
        for slot, number in zip(chunk.owners, order, strict=True):
            slot.seconds = seconds
            self._enter(slot, readings[number])


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    characters = 0
    for entry in entries:
        chunk.append(entry)
        characters += len(entry.solution) + len(entry.gold)
        if len(chunk) >= _CHUNK or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _reading(row: list[Any]) -> Reading:
    """A reading from its row: what is decided, or with one item more the pair that decides."""
    decided = (row[3], row[4]) if len(row) == 5 else Pair(row[3], row[4])
    return Reading(row[0], row[1], row[2], decided)


def _unread(entry: Entry, failure: Reply) -> Reading:
    """The reading of an entry that ended its process."""
    return Reading(entry.gold[:100], None, None, failure.content)
