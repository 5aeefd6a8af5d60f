"""Comparisons of untrusted text in processes that are killed when they take too long: the caller's side."""

import json
import os
import select
import subprocess
import sys
from collections import deque
from contextlib import suppress
from itertools import count
from pathlib import Path

from stages.common.verifiers.verifier import Decision

MAX_TRIES = 3
"""Times that two texts are compared whose process dies by itself."""

_SERVER = "stages.common.verifiers.math.process.forkserver"
_START_TIMEOUT_S = 120.0
_CLOSE_TIMEOUT_S = 10.0

_MAX_IN_FLIGHT = 24
"""Calls sent to the server at a time; with at most 600 characters a text they fit into a pipe, so no write blocks."""

_SEARCH_PATH = os.pathsep.join([str(Path(__file__).parents[5]), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where the server finds this project, whatever folder it is started in."""


class PendingDecision:
    """The decision on two texts, None until it is made, and the processor seconds it took."""

    def __init__(self, first: str, second: str) -> None:
        self.texts = (first, second)
        self.decision: Decision | None = None
        self.seconds = 0.0
        self.num_tries = 0


class ProcessPool:
    """Runs a function of two texts in up to `num_workers` processes, at most `timeout_s` seconds for each pair.

    `loader` is ``module:function``; the function returns the one to run, ``(first, second) -> (value, reason)``. The
    server starts with the first call. If it dies, it is started again and only the calls sent to it are repeated.
    """

    def __init__(self, loader: str, num_workers: int, timeout_s: float) -> None:
        self._options = [loader, str(num_workers), str(timeout_s)]
        self._max_wait_s = timeout_s + _START_TIMEOUT_S
        self._server: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._numbers = count()
        self._queue: deque[PendingDecision] = deque()
        self._running: dict[int, PendingDecision] = {}

    def submit(self, first: str, second: str) -> PendingDecision:
        """Start to compare two texts."""
        pending = PendingDecision(first, second)
        self._queue.append(pending)
        self._send()
        return pending

    def poll(self) -> None:
        """Take the decisions that are made by now."""
        if self._running:
            self._receive(0.0)

    def wait(self, pending: PendingDecision) -> Decision:
        """Return the decision once it is made."""
        while pending.decision is None:
            self._receive(self._max_wait_s)
        return pending.decision

    def close(self) -> None:
        """End all processes."""
        if self._server is not None:
            self._server.stdin.close()  # type: ignore[union-attr]
            self._server.stdout.close()  # type: ignore[union-attr]
            try:
                self._server.wait(_CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._server, self._buffer = None, b""

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: modules are not searched in the working folder. SymPy orders terms by hash, which must be the same always.
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", _SERVER, *self._options, str(os.getpid())],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": _SEARCH_PATH},
        )

    def _send(self) -> None:
        while self._queue and len(self._running) < _MAX_IN_FLIGHT:
            self._server = self._server or self._start()
            number, pending = next(self._numbers), self._queue.popleft()
            self._running[number] = pending
            with suppress(BrokenPipeError):  # a dead server is found at the next read
                self._server.stdin.write(json.dumps([number, *pending.texts]).encode() + b"\n")  # type: ignore[union-attr]

    def _receive(self, wait_s: float) -> None:
        output = self._server.stdout.fileno()  # type: ignore[union-attr]
        readable, _, _ = select.select([output], [], [], wait_s)
        received = os.read(output, 1 << 16) if readable else b""
        if received:
            *lines, self._buffer = (self._buffer + received).split(b"\n")
            for line in lines:
                number, value, reason, seconds = json.loads(line)
                pending = self._running.pop(number)
                if reason is None:
                    self._repeat(pending)
                else:
                    pending.decision, pending.seconds = (value, reason), seconds
        elif readable or wait_s > 0:  # the server died, or does not answer
            self._server.kill()  # type: ignore[union-attr]
            self.close()
            for pending in reversed(self._running.values()):
                self._repeat(pending)
            self._running.clear()
        self._send()

    def _repeat(self, pending: PendingDecision) -> None:
        """Put a call whose process died at the front of the queue, or give it up."""
        pending.num_tries += 1
        if pending.num_tries < MAX_TRIES:
            self._queue.appendleft(pending)
        else:
            pending.decision = (None, "the verifier process died")
