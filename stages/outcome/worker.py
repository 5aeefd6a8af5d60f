"""One grading process, from its parent's side: what it is given, and by when it must reply."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from stages.outcome.reading import Entry, Pair

START_UP = 120.0
"""Seconds that a new process may take to start, and again to load SymPy, before it counts as dead."""

_PIPE = 1 << 20
"""Bytes between parent and child, where the platform lets one choose: a whole chunk, so that neither waits."""

_SEARCHED = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where a process finds this project, whatever folder it is started in."""


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
    """What a process says to a job, and the seconds that it took: a decision, or a row per entry of a chunk."""

    content: Any
    seconds: float


class Worker:
    """A process that works on at most one job at a time, so what kills it is known."""

    def __init__(self, timeout_s: float, memory: int) -> None:
        self._timeout_s = timeout_s
        # -P: the working folder is not searched for modules. Hash order must not decide how SymPy orders terms.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "stages.outcome.child", str(os.getpid()), str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": _SEARCHED},
            bufsize=0,
            pipesize=_PIPE,
        )
        self._buffer = b""
        self._started = False
        self.loaded = False
        self.deadline = time.monotonic() + START_UP
        self.job: Job | None = None
        self._sent = time.monotonic()

    @property
    def fileno(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    @property
    def seconds(self) -> float:
        """How long the present job has been worked on."""
        return time.monotonic() - self._sent

    def give(self, job: Job) -> None:
        """Hand over a job; it is sent once the process is ready for it."""
        self.job = job
        if self._started:
            self._send()

    def _send(self) -> None:
        assert self.job is not None
        self._sent = time.monotonic()
        self.deadline = self._sent + self._timeout_s
        if isinstance(self.job, Chunk):
            self._write(("read", list(map(tuple, self.job.entries))))
        elif self.loaded:
            self._write(("compare", *self.job, self._timeout_s))
        else:
            self.deadline = self._sent + START_UP
            self._write(("load",))

    def _write(self, request: tuple[Any, ...]) -> None:
        assert self._process.stdin is not None
        rest = memoryview(pickle.dumps(request, protocol=5))
        # Where the process has died, the other pipe says so at the next read.
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[self._process.stdin.write(rest) :]

    def read(self) -> Reply | None:
        """The reply to the job, if it is complete; raises `EOFError` where the process has died."""
        received = os.read(self.fileno, _PIPE)
        if not received:
            raise EOFError
        self._buffer += received
        if not self._buffer.endswith(b"\n"):
            return None
        line, self._buffer = self._buffer, b""
        if line == b"\n":
            self.loaded = self._started and isinstance(self.job, Pair)
            self._started = True
            if self.job is not None:
                self._send()
            return None
        self.job = None
        return Reply(*json.loads(line))

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
