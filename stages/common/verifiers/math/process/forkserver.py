"""The server process that runs calls of a function in copies of itself, and kills copies that take too long.

Started by `process_pool` as a module of its own. It loads the function once (SymPy takes a second), so a killed copy is
replaced within milliseconds. The server never interprets a model's text. It ends, with all copies, when its input is
closed or its parent is gone.
"""

import ctypes
import gc
import importlib
import json
import math
import os
import resource
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MEMORY_BYTES = 384 << 20
"""Bytes that a copy may allocate, whatever the number of copies: verdicts must not depend on it."""

_PROCESSOR_GRACE_S = 2
_PARENT_CHECK_S = 1.0
_READ_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1

Compare = Callable[[str, str], tuple[bool | None, str]]


class _Copy:
    """A running copy, the number of the call that it works on (None: idle) and when that must have ended."""

    def __init__(self, process: int, requests: int, replies: int) -> None:
        self.process = process
        self.requests = requests
        self.replies = replies
        self.number: int | None = None
        self.deadline = math.inf


class ForkServer:
    """Runs calls of `compare` in up to `num_workers` copies at a time, each call for at most `timeout_s` seconds.

    Requests are lines ``[number, first, second]``, replies lines ``[number, value, reason, seconds]``, both JSON; the
    reason is null where the copy died. A copy serves one call after another: a warm parser is five times faster.
    """

    def __init__(self, compare: Compare, requests: int, replies: int, num_workers: int, timeout_s: float) -> None:
        self._compare = compare
        self._requests = requests
        self._replies = replies
        self._num_workers = num_workers
        self._timeout_s = timeout_s
        self._buffer = b""
        self._queue: deque[bytes] = deque()
        self._copies: list[_Copy] = []

    def run(self, parent: int) -> None:
        """Serve until the requests end or process `parent` is gone."""
        try:
            while os.getppid() == parent:
                deadline = min((copy.deadline for copy in self._copies), default=math.inf)
                wait_s = max(0.0, min(deadline - time.monotonic(), _PARENT_CHECK_S))
                readable, _, _ = select.select([self._requests, *(one.replies for one in self._copies)], [], [], wait_s)
                if self._requests in readable and not self._read_requests():
                    return
                for copy in tuple(self._copies):
                    if copy.replies in readable:
                        self._read_reply(copy)
                    elif time.monotonic() >= copy.deadline:
                        self._remove(copy)
                        self._reply(copy.number, None, f"no verdict in {self._timeout_s:g} s", self._timeout_s)
                self._start_calls()
        finally:
            for copy in tuple(self._copies):
                self._remove(copy)

    def _read_requests(self) -> bool:
        """Put new requests in the queue; return False at their end."""
        received = os.read(self._requests, _READ_BYTES)
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        self._queue.extend(lines)
        return bool(received)

    def _start_calls(self) -> None:
        idle = [copy for copy in self._copies if copy.number is None]
        while self._queue and (idle or len(self._copies) < self._num_workers):
            copy = idle.pop() if idle else self._fork()
            request = self._queue.popleft()
            copy.number = json.loads(request)[0]
            copy.deadline = time.monotonic() + self._timeout_s
            with suppress(BrokenPipeError):  # a dead copy is found at the next read
                os.write(copy.requests, request + b"\n")

    def _fork(self) -> _Copy:
        server = os.getpid()
        requests, replies = os.pipe(), os.pipe()
        process = os.fork()
        if process:
            os.close(requests[0])
            os.close(replies[1])
            self._copies.append(_Copy(process, requests[1], replies[0]))
            return self._copies[-1]
        try:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(requests[1])
            if os.getppid() == server:
                _serve_copy(self._compare, requests[0], replies[1], self._timeout_s)
        finally:
            os._exit(0)  # a copy must never continue as a second server

    def _read_reply(self, copy: _Copy) -> None:
        received = os.read(copy.replies, _READ_BYTES)
        if not received:
            self._remove(copy)
        if copy.number is not None:
            self._reply(copy.number, *(json.loads(received) if received else (None, None, 0.0)))
        copy.number, copy.deadline = None, math.inf

    def _remove(self, copy: _Copy) -> None:
        self._copies.remove(copy)
        os.close(copy.requests)
        os.close(copy.replies)
        os.kill(copy.process, signal.SIGKILL)
        os.waitpid(copy.process, 0)

    def _reply(self, *content: int | bool | str | float | None) -> None:
        os.write(self._replies, json.dumps(content).encode() + b"\n")


def _serve_copy(compare: Compare, requests: int, replies: int, timeout_s: float) -> None:
    """Reply to requests until they end, within limits on memory and processor time."""
    statistics = Path("/proc/self/statm")
    taken = int(statistics.read_text().split()[0]) * resource.getpagesize() if statistics.exists() else 1 << 29
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, taken + MEMORY_BYTES))
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            started = time.process_time()
            # The kernel ends a copy that the server could not end.
            resource.setrlimit(resource.RLIMIT_CPU, (int(started + timeout_s) + _PROCESSOR_GRACE_S, -1))
            _, first, second = json.loads(line)
            value, reason = compare(first, second)
            os.write(replies, json.dumps([value, reason, round(time.process_time() - started, 6)]).encode())


def main() -> None:
    loader, num_workers, timeout_s, parent = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    requests, replies = os.dup(0), os.dup(1)
    # Parsers print what they find in a formula; none of it may reach a terminal or the replies.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    module, _, name = loader.partition(":")
    load: Callable[[], Any] = getattr(importlib.import_module(module), name)
    compare = load()
    gc.collect()
    gc.freeze()  # objects that the collector leaves alone stay shared between the copies
    ForkServer(compare, requests, replies, int(num_workers), float(timeout_s)).run(int(parent))


if __name__ == "__main__":
    main()
