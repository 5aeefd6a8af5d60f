"""From entries to verdicts in their order: reading, comparing, and remembering what was compared."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from stages.outcome.batch import Batch, Waiting, verdict_of
from stages.outcome.pool import Workers
from stages.outcome.reading import Entry, Pair, Reading, read
from stages.outcome.verdict import Verdict
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


class Grader:
    """Decides entries, remembers comparisons, and asks for algebra where nothing quicker decides.

    With one process, that one is kept for algebra and entries are read here; with more, they read too.
    """

    def __init__(self, workers: int, timeout_s: float) -> None:
        self._workers = Workers(workers, timeout_s)
        self._known: OrderedDict[Pair, Decision] = OrderedDict()
        self._waiting: dict[Pair, list[Waiting]] = {}
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
        window: deque[Batch] = deque()
        held = 0
        for batch in self._submit_all(entries):
            window.append(batch)
            held += batch.size
            while window and (not window[0].missing or held >= _WINDOW):
                held -= window[0].size
                yield from self._verdicts(window.popleft())
        for batch in window:
            yield from self._verdicts(batch)

    def _verdicts(self, batch: Batch) -> list[Verdict]:
        while batch.missing:
            self._collect()
        self._look(batch.size)
        return batch.verdicts()

    def _submit_all(self, entries: Iterable[Entry]) -> Iterator[Batch]:
        """Batches of `entries`, whose readings are on their way."""
        if self._workers.count == 1:
            for entry in entries:
                yield self._read_here(entry)
                self._look(1)
            return
        for chunk in _chunks(entries):
            batch = Batch(len(chunk))
            self._workers.submit(Chunk(chunk, batch))
            yield batch
            while self._workers.unread > 3 * self._workers.count:
                self._collect()

    def _read_here(self, entry: Entry) -> Batch:
        batch = Batch(1)
        began = time.perf_counter()
        reading = read(entry)
        batch.put(0, [self._verdict(batch, reading, time.perf_counter() - began)])
        return batch

    def _verdict(self, batch: Batch, reading: Reading, seconds: float) -> Verdict | Waiting:
        """The verdict on what was read, if it is known; a pair that is not goes to algebra."""
        decided = reading.decided
        if isinstance(decided, Pair) and decided not in self._known:
            waiting = Waiting(batch, reading, seconds)
            if decided in self._waiting:
                self._waiting[decided].append(waiting)
            else:
                self._waiting[decided] = [waiting]
                self._workers.submit(decided)
            return waiting
        return verdict_of(reading, self._known[decided] if isinstance(decided, Pair) else decided, seconds)

    def _look(self, more: int) -> None:
        self._since_look += more
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
        for waiting in self._waiting.pop(pair):
            waiting.decide((value, reason), reply.seconds)

    def _were_read(self, chunk: Chunk, reply: Reply) -> None:
        """Entries that read alike get one verdict between them."""
        seconds = reply.seconds / len(chunk.entries)
        if isinstance(reply.content, tuple):
            readings, order = [_unread(chunk.entries[0], reply)], [0]
        else:
            rows, order = reply.content
            readings = [_reading(row) for row in rows]
        different = [self._verdict(chunk.batch, reading, seconds) for reading in readings]
        chunk.batch.put(chunk.start, [different[number] for number in order])


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    remaining = iter(entries)
    chunk: list[Entry] = []
    characters = 0
    while some := list(islice(remaining, _LOOK)):
        chunk += some
        characters += sum(len(entry.solution) for entry in some)
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
