"""One grading process, from its parent's side: what it is given, and by when it must reply."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from stages.outcome.batch import Batch
from stages.outcome.child import pack
from stages.outcome.processes import Processes
from stages.outcome.reading import Entry, Pair

START_UP = 120.0
"""Seconds that a new process may take to start before it counts as dead."""

_PIPE = 1 << 20
"""Bytes between parent and child, where the platform lets one choose: a whole chunk, so that neither waits."""

_SLACK = 1 << 14
"""Bytes of a pipe that may be lost where a page is not filled."""


class Chunk:
    """Entries to be read in one go: those of `batch` from `start` on. Equal to itself only."""

    def __init__(self, entries: Sequence[Entry], batch: Batch, start: int = 0) -> None:
        self.entries = entries
        self.batch = batch
        self.start = start

    def halves(self) -> tuple[Chunk, Chunk]:
        """The two parts that a chunk which ended its process is given in again."""
        middle = len(self.entries) // 2
        rest = Chunk(self.entries[middle:], self.batch, self.start + middle)
        return Chunk(self.entries[:middle], self.batch, self.start), rest


Job = Pair | Chunk


class Reply(NamedTuple):
    """What a process says to a job, a decision or the readings of a chunk, and the processor seconds that it took."""

    content: Any
    seconds: float


class Worker:
    """A process that works on at most one job at a time, so what kills it is known.

    A chunk may be sent ahead while another is read, so that the process need not wait for its parent in between.
    """

    def __init__(self, processes: Processes, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._processes = processes
        self._process: int | None = None
        self.with_algebra = processes.with_algebra
        theirs_in, self._requests = _pipe()
        self.fileno, theirs_out = _pipe()
        processes.start(theirs_in, theirs_out)
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self.deadline = time.monotonic() + START_UP
        self.job: Job | None = None
        self.ahead: Chunk | None = None
        """What is sent already and comes after `job`."""
        self._sent = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the present job has been worked on."""
        return time.monotonic() - self._sent

    def give(self, job: Job) -> None:
        """Hand over a job, a pair only to a process with algebra; it is sent once the process is ready for it."""
        self.job = job
        if self._process is not None:
            self._send()

    def give_ahead(self, chunk: Chunk) -> bool:
        """Send what comes after the present job, where the pipe takes all of it at once; whether it was sent."""
        if self._process is None or self.ahead is not None:
            return False
        request = self._request(chunk)
        if len(request) > _room(self._requests):
            return False
        self.ahead = chunk
        self._write(request)
        return True

    def _send(self) -> None:
        assert self.job is not None
        self._begin()
        self._write(self._request(self.job))

    def _begin(self) -> None:
        self._sent = time.monotonic()
        self.deadline = self._sent + self._timeout_s

    def _request(self, job: Job) -> bytes:
        if isinstance(job, Chunk):
            # Plain strings only: those of other libraries' kinds, like NumPy's, are not known on the other side.
            return pack(("read", [(str(gold), str(solution), bool(cut)) for gold, solution, cut in job.entries]))
        return pack(("compare", *job, self._timeout_s))

    def _write(self, request: bytes) -> None:
        rest = memoryview(request)
        # Where the process has died, the other pipe says so at the next read.
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._requests, rest) :]

    def read(self) -> list[tuple[Job, Reply]]:
        """The jobs whose replies are complete; raises `EOFError` where the process has died."""
        received = os.read(self.fileno, _PIPE)
        if not received:
            raise EOFError
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        return [done for line in lines if (done := self._take(line)) is not None]

    def _take(self, line: bytes) -> tuple[Job, Reply] | None:
        """What a line replies to; the first is the process's number and replies to nothing."""
        if self._process is None:
            self._process = int(line)
            if self.job is not None:
                self._send()
            return None
        job, self.job, self.ahead = self.job, self.ahead, None
        assert job is not None
        if self.job is not None:
            self._begin()
        return job, Reply(*json.loads(line))

    def kill(self) -> None:
        """End the process, whatever it is doing. One that has not started yet finds nothing to do."""
        if self._process is not None:
            self._processes.end(self._process)
        os.close(self._requests)
        os.close(self.fileno)


def _pipe() -> tuple[int, int]:
    """The reading and the writing end of a pipe, wide where the platform allows it."""
    ends = os.pipe()
    with suppress(OSError, AttributeError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE)
    return ends


def _room(writing: int) -> int:
    """Bytes that a pipe takes without waiting for its reader; 0 where the platform does not tell."""
    try:
        size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
        (held,) = struct.unpack("i", fcntl.ioctl(writing, termios.FIONREAD, b"\0" * 4))
    except (OSError, AttributeError):
        return 0
    return int(size - held - _SLACK)
