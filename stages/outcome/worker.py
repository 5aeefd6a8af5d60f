"""Grading processes and the deadlines that they are held to: a pair may take its time limit and no more."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stages.outcome.words import Decision

START_UP = 120.0
"""Seconds that a new process may take to load SymPy before it counts as dead."""

TRIES = 2
"""Times that a pair is given to a process which dies of itself, before it is given up."""


_SEARCHED = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where a process finds this project, whatever folder it is started in."""


class Pair(NamedTuple):
    """Two formulas to compare."""

    gold: str
    answer: str


class _Worker:
    """One process. It works on at most one pair at a time, so what kills it is known."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # -P: the working folder is not searched for modules. Hash order must not decide how SymPy orders terms.
        self._process = subprocess.Popen(  # noqa: S603 - our own program by its path
            [sys.executable, "-P", "-m", "stages.outcome.child", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": _SEARCHED},
            bufsize=0,
        )
        self._ready = False
        self._buffer = b""
        self.deadline = time.monotonic() + START_UP
        self.pair: Pair | None = None

    @property
    def fileno(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def give(self, pair: Pair) -> None:
        """Hand over a pair; it is sent once the process is ready."""
        self.pair = pair
        if self._ready:
            self._send()

    def _send(self) -> None:
        assert self.pair is not None
        assert self._process.stdin is not None
        self.deadline = time.monotonic() + self._timeout_s
        # Where the process has died, the other pipe says so at the next read.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([*self.pair, self._timeout_s]).encode("ascii") + b"\n")

    def read(self) -> Decision | None:
        """The verdict, if it is complete; raises `EOFError` where the process has died."""
        received = os.read(self.fileno, 65_536)
        if not received:
            raise EOFError
        self._buffer += received
        verdict = None
        while b"\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\n", 1)
            if line:
                value, reason, _ = json.loads(line)
                verdict = (value, reason)
                self.pair = None
            else:
                self._ready = True
                if self.pair is not None:
                    self._send()
        return verdict

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Workers:
    """Up to `count` processes, each started when there is work for it, ended and replaced when it must be."""

    def __init__(self, count: int, timeout_s: float) -> None:
        if count < 1:
            raise ValueError(f"workers: expected at least 1, found {count}")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s: expected more than 0, found {timeout_s}")
        self._count = count
        self._timeout_s = timeout_s
        self._workers: list[_Worker] = []
        self._waiting: deque[Pair] = deque()
        self._died: dict[Pair, int] = {}

    def submit(self, pair: Pair) -> None:
        """Put a pair in the queue; pairs are equal or not by their text and must not be submitted twice at once."""
        self._waiting.append(pair)
        self._assign()

    def collect(self) -> list[tuple[Pair, Decision]]:
        """Wait until at least one pair submitted has its verdict, and give all that have; none if none is there."""
        decided: list[tuple[Pair, Decision]] = []
        while not decided and (busy := [worker for worker in self._workers if worker.pair is not None]):
            patience = max(min(worker.deadline for worker in busy) - time.monotonic(), 0.0)
            readable, _, _ = select.select([worker.fileno for worker in busy], [], [], patience)
            for worker in busy:
                if worker.fileno in readable:
                    decided += self._read(worker)
                elif time.monotonic() >= worker.deadline:
                    decided += self._give_up(worker, f"no verdict in {self._timeout_s:g} s")
            self._assign()
        return decided

    def _assign(self) -> None:
        while self._waiting:
            worker = next((worker for worker in self._workers if worker.pair is None), None)
            if worker is None:
                if len(self._workers) >= self._count:
                    return
                worker = _Worker(self._timeout_s)
                self._workers.append(worker)
            worker.give(self._waiting.popleft())

    def _read(self, worker: _Worker) -> list[tuple[Pair, Decision]]:
        pair = worker.pair
        assert pair is not None
        try:
            verdict = worker.read()
        except EOFError:
            self._died[pair] = self._died.get(pair, 0) + 1
            if self._died[pair] >= TRIES:
                return self._give_up(worker, "the grading process died of it")
            self._remove(worker)
            self._waiting.appendleft(pair)
            return []
        return [] if verdict is None else [(pair, verdict)]

    def _give_up(self, worker: _Worker, reason: str) -> list[tuple[Pair, Decision]]:
        pair = worker.pair
        assert pair is not None
        self._remove(worker)
        return [(pair, (None, reason))]

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.kill()

    def close(self) -> None:
        """End all processes."""
        while self._workers:
            self._workers.pop().kill()
        self._waiting.clear()
