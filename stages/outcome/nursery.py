"""The process from which grading processes are copied: it loads SymPy once, so an ended one is replaced at once.

Run as a module of its own by stages.outcome.processes, and told what to do by messages of one letter and one number:
``F`` copies a process that is served by the two descriptors that come along, ``L`` loads algebra for those to come,
``E`` ends the process of that number. It reads no text of a model. It ends itself, and with it all its copies, when the
other end is closed or its parent is gone.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import struct
import sys

from stages.outcome.algebra import Algebra
from stages.outcome.child import serve

MESSAGE = struct.Struct("!cQ")

_LOOK = 1.0
"""Seconds after which a quiet nursery looks whether its parent is there."""


def _fork(control: socket.socket, algebra: Algebra | None, memory: int, descriptors: list[int]) -> int:
    """Copy this process into one that serves `descriptors`; gives its number."""
    nursery = os.getpid()
    process = os.fork()
    if process:
        for descriptor in descriptors:
            os.close(descriptor)
        return process
    try:
        control.close()
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() == nursery:
            with os.fdopen(descriptors[0], "rb") as requests, os.fdopen(descriptors[1], "wb") as replies:
                serve(requests, replies, algebra, memory)
    finally:
        os._exit(0)  # whatever happened, this is no second nursery


class Nursery:
    """Copies and ends processes as `control` says."""

    def __init__(self, control: socket.socket, memory: int) -> None:
        self._control = control
        self._memory = memory
        self._algebra: Algebra | None = None
        self._processes: set[int] = set()

    def run(self, parent: int) -> None:
        """Follow messages until the other end is closed or `parent` is gone."""
        try:
            while os.getppid() == parent:
                try:
                    message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE.size, 2)
                except TimeoutError:
                    continue
                if not message:
                    return
                kind, number = MESSAGE.unpack(message)
                self._follow(kind, number, descriptors)
        finally:
            for process in tuple(self._processes):
                self._end(process)

    def _follow(self, kind: bytes, number: int, descriptors: list[int]) -> None:
        if kind == b"F":
            self._processes.add(_fork(self._control, self._algebra, self._memory, descriptors))
        elif kind == b"E":
            self._end(number)
        elif self._algebra is None:
            self._algebra = Algebra()
            self._algebra.warm_up()
            gc.collect()
            gc.freeze()  # what a collection does not touch stays shared between the copies
        self._bury()

    def _end(self, process: int) -> None:
        """End a process that was copied here and has not been buried yet, so that its number is still its own."""
        if process in self._processes:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            self._processes.discard(process)

    def _bury(self) -> None:
        """Take note of processes that ended by themselves."""
        while self._processes:
            process, _ = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            self._processes.discard(process)


def main() -> None:
    parent, memory = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    control = socket.socket(fileno=os.dup(0))
    control.settimeout(_LOOK)
    # Parsers print what they think of a formula; none of it may get anywhere.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    Nursery(control, memory).run(parent)


if __name__ == "__main__":
    main()
