"""One grading process, from its parent's side: what it is given, and by when it must reply."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from stages.outcome.processes import Processes
from stages.outcome.reading import Entry, Pair

START_UP = 120.0
"""Seconds that a new process may take to start before it counts as dead."""

_PIPE = 1 << 20
"""Bytes between parent and child, where the platform lets one choose: a whole chunk, so that neither waits."""


class Chunk:
    """Entries to be read in one go, each with whoever waits for its reading. Equal to itself only."""

    def __init__(self, entries: Sequence[Entry], owners: Sequence[Any]) -> None:
        self.entries = entries
        self.owners = owners

    def halves(self) -> tuple[Chunk, Chunk]:
        """The two parts that a chunk which ended its process is given in again."""
        middle = len(self.entries) // 2
        return Chunk(self.entries[:middle], self.owners[:middle]), Chunk(self.entries[middle:], self.owners[middle:])


Job = Pair | Chunk


class Reply(NamedTuple):
    """What a process says to a job, a decision or the readings of a chunk, and the processor seconds that it took."""

    content: Any
    seconds: float


class Worker:
    """A process that works on at most one job at a time, so what kills it is known."""

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

    def _send(self) -> None:
        assert self.job is not None
        self._sent = time.monotonic()
        self.deadline = self._sent + self._timeout_s
        if isinstance(self.job, Chunk):
            self._write(("read", list(map(tuple, self.job.entries))))
        else:
            self._write(("compare", *self.job, self._timeout_s))

    def _write(self, request: tuple[Any, ...]) -> None:
        rest = memoryview(pickle.dumps(request, protocol=5))
        # Where the process has died, the other pipe says so at the next read.
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._requests, rest) :]

    def read(self) -> Reply | None:
        """The reply to the job, if it is complete; raises `EOFError` where the process has died."""
        received = os.read(self.fileno, _PIPE)
        if not received:
            raise EOFError
        self._buffer += received
        if not self._buffer.endswith(b"\n"):
            return None
        line, self._buffer = self._buffer, b""
        if self._process is None:
            self._process = int(line)
            if self.job is not None:
                self._send()
            return None
        self.job = None
        return Reply(*json.loads(line))

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
