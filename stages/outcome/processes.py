"""The grading processes of a pool, from their parent's side: starting and ending them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.outcome.nursery import MESSAGE

_SEARCHED = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
"""Where a process finds this project, whatever folder it is started in."""

_PATIENCE = 10.0
"""Seconds that a nursery may take to end itself and its copies."""


class Processes:
    """Starts and ends processes through a nursery of their own; `memory` is how many bytes one request may take."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.with_algebra = False

    def load(self) -> None:
        """Have the processes started from now on compare formulas, and not only read."""
        if not self.with_algebra:
            self._say(b"L")
            self.with_algebra = True

    def start(self, requests: int, replies: int) -> None:
        """Start a process that reads the descriptor `requests` and writes `replies`; its first line is its number."""
        if self._nursery is None or self._nursery.poll() is not None:
            self._found()
        # One that is about to die may not be seen to be dead, but its end of the socket is closed by then.
        if not self._say(b"F", descriptors=(requests, replies)):
            self._found()
            self._say(b"F", descriptors=(requests, replies))

    def end(self, process: int) -> None:
        """End a process by its number, whatever it is doing."""
        self._say(b"E", process)

    def close(self) -> None:
        """End all processes, and wait until they are gone."""
        if self._control is not None:
            self._control.close()
        if self._nursery is not None:
            try:
                self._nursery.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._nursery.kill()
                self._nursery.wait()
        self._nursery = self._control = None

    def _found(self) -> None:
        """Start the nursery, or another one where that has died."""
        self.close()
        self._control, theirs = socket.socketpair()
        with theirs:
            # -P: the working folder is not searched for modules. Hash order must not decide how SymPy orders terms.
            self._nursery = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "stages.outcome.nursery", str(os.getpid()), str(self._memory)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": _SEARCHED},
            )
        if self.with_algebra:
            self._say(b"L")

    def _say(self, kind: bytes, number: int = 0, descriptors: Sequence[int] = ()) -> bool:
        """Send a message to the nursery; whether there was one to take it."""
        if self._control is None:
            return False
        # Where the nursery has died, so have its processes, which is seen at the next read from them.
        try:
            socket.send_fds(self._control, [MESSAGE.pack(kind, number)], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True
