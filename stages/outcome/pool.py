"""Grading processes and the jobs that they share: a job may take its time limit and no more."""

from __future__ import annotations

import select
import time
from collections import deque

from stages.outcome.processes import Processes
from stages.outcome.reading import Pair
from stages.outcome.worker import Chunk, Job, Reply, Worker

TRIES = 3
"""Times that a pair is given to a process which dies of itself, before it is given up."""

MEMORY = 1_400 << 20
"""Bytes that all processes may take together."""

_LOADED = 110 << 20
"""Bytes of it that a process with SymPy shows as its own, though its copies share most of them."""

_LEAST = 64 << 20
_MOST = 800 << 20
"""Least and most bytes that one comparison may take."""

_BACKLOG = 8
"""Pairs waiting per process with algebra at which one more is put to it."""


class Workers:
    """Up to `count` processes, each started when there is work for it, ended and replaced when it must be."""

    def __init__(self, count: int, timeout_s: float) -> None:
        if count < 1:
            raise ValueError(f"workers: expected at least 1, found {count}")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s: expected more than 0, found {timeout_s}")
        self.count = count
        self._timeout_s = timeout_s
        memory = (MEMORY - _LOADED) // count - _LOADED  # the nursery has its share too
        self._processes = Processes(min(max(memory, _LEAST), _MOST))
        self._workers: list[Worker] = []
        self._pairs: deque[Pair] = deque()
        self._chunks: deque[Chunk] = deque()
        self._died: dict[Job, int] = {}

    @property
    def unread(self) -> int:
        """Chunks that are not read yet."""
        held = (job for worker in self._workers for job in (worker.job, worker.ahead))
        return len(self._chunks) + sum(isinstance(job, Chunk) for job in held)

    def submit(self, job: Job) -> None:
        """Put a job in the queue; pairs are equal or not by their text and must not be submitted twice at once."""
        if isinstance(job, Pair):
            self._pairs.append(job)
        else:
            self._chunks.append(job)
        self._assign()

    def collect(self, wait: bool = True) -> list[tuple[Job, Reply]]:
        """The jobs that have their replies by now, at least one if there is any and `wait` says so."""
        done: list[tuple[Job, Reply]] = []
        while not done and (busy := [worker for worker in self._workers if worker.job is not None]):
            patience = max(min(worker.deadline for worker in busy) - time.monotonic(), 0.0) if wait else 0.0
            readable, _, _ = select.select([worker.fileno for worker in busy], [], [], patience)
            for worker in busy:
                if worker.fileno in readable:
                    done += self._read(worker)
                elif time.monotonic() >= worker.deadline:
                    done += self._give_up(worker, f"no verdict in {self._timeout_s:g} s")
            self._assign()
            if not wait:
                break
        return done

    def _assign(self) -> None:
        while self._pairs or self._chunks:
            worker = next((worker for worker in self._workers if worker.job is None), None)
            if worker is None and len(self._workers) >= self.count:
                self._send_ahead()
                return
            job = self._next_job(worker is not None and worker.with_algebra)
            if isinstance(job, Pair):
                self._processes.load()
                if worker is not None and not worker.with_algebra:
                    self._remove(worker)
                    worker = None
            (worker or self._add()).give(job)

    def _send_ahead(self) -> None:
        """Give busy processes their next chunk, but not while pairs wait for one that is free."""
        for worker in self._workers:
            if self._pairs or not self._chunks:
                return
            if isinstance(worker.job, Chunk) and worker.give_ahead(self._chunks[0]):
                self._chunks.popleft()

    def _next_job(self, with_algebra: bool) -> Job:
        """Pairs go to processes with algebra, which takes long to load, unless too many wait."""
        able = sum(one.with_algebra for one in self._workers)
        if self._pairs and (with_algebra or not self._chunks or len(self._pairs) > _BACKLOG * able):
            return self._pairs.popleft()
        return self._chunks.popleft()

    def _add(self) -> Worker:
        worker = Worker(self._processes, self._timeout_s)
        self._workers.append(worker)
        return worker

    def _read(self, worker: Worker) -> list[tuple[Job, Reply]]:
        try:
            return worker.read()
        except EOFError:
            job = worker.job
            self._remove(worker)
        if job is None:
            return []
        self._died[job] = self._died.get(job, 0) + 1
        if self._died[job] >= TRIES:
            return self._given_up(job, Reply((None, "the grading process died of it"), worker.seconds))
        self._again(job)
        return []

    def _again(self, job: Job) -> None:
        if isinstance(job, Pair):
            self._pairs.appendleft(job)
        else:
            self._chunks.appendleft(job)

    def _give_up(self, worker: Worker, reason: str) -> list[tuple[Job, Reply]]:
        """End a process, and its job with it."""
        job, seconds = worker.job, worker.seconds
        assert job is not None
        self._remove(worker)
        return self._given_up(job, Reply((None, reason), seconds))

    def _given_up(self, job: Job, reply: Reply) -> list[tuple[Job, Reply]]:
        """The reply to a job without one; a chunk is halved, down to the entry that it cannot be read with."""
        self._died.pop(job, None)
        if isinstance(job, Chunk) and len(job.entries) > 1:
            for half in reversed(job.halves()):
                self._chunks.appendleft(half)
            return []
        return [(job, reply)]

    def _remove(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()
        if worker.ahead is not None:
            self._chunks.appendleft(worker.ahead)

    def start(self) -> None:
        """Start all processes and have each compare something, so that no later job waits for what loads late."""
        pairs = [Pair(rf"0.5, {number}\frac{{2}}{{3}}", r"\pi+3\sqrt{10}, 2.5") for number in range(self.count)]
        self._processes.load()
        while len(self._workers) < self.count:
            self._add()
        for worker, pair in zip(self._workers, pairs, strict=True):
            worker.give(pair)
        while any(worker.job is not None for worker in self._workers):
            self.collect()

    def close(self) -> None:
        """End all processes."""
        while self._workers:
            self._workers.pop().kill()
        self._processes.close()
        self._pairs.clear()
        self._chunks.clear()
