"""Copies of an engine, each in a process of its own, that share the requests: data parallelism on one machine.

Copies know nothing of each other. Requests of one family go to one copy, whose prefix cache they share, and the next
family goes to the copy that has least to do, so that none waits for a slower one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby, islice
from multiprocessing import connection, get_context
from typing import Any

from stages.common.engines.copy_worker import Ended, Refused, work
from stages.common.engines.engine import Engine
from stages.common.engines.errors import EngineError
from stages.common.engines.request import Answered, Request

AHEAD = 4
"""Requests sent to a copy per one that it works on. Engines hold two and take the next before they give an answer, so
with less than three a copy would wait for us and we for it."""

LARGEST_FAMILY = 64
"""Neighbours with one prompt that stay together; more are shared out."""

STOP_S = 60.0
"""Seconds that a copy has to let go of its model and end."""


class Copies:
    """One engine per entry of `environments`, made there by `make`, which must survive pickling.

    Each copy gets its entry's variables before it loads anything, and works on `concurrency` requests at once.
    """

    def __init__(self, make: Callable[[], Engine], environments: Sequence[Mapping[str, str]], concurrency: int) -> None:
        self._make = make
        self._environments = environments
        self._concurrency = concurrency
        self._copies: list[_Copy] = []

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """See `Engine.complete`; raises `EngineError`, too, when a copy ends by itself."""
        families = families_of(requests)
        first = next(families, None)
        if first is None:
            return
        if not self._copies:
            self._copies = [
                _Copy(f"copy {number} of {len(self._environments)}", self._make, environment)
                for number, environment in enumerate(self._environments, start=1)
            ]
        try:
            yield from self._share(chain([first], families))
        except BaseException:  # a fault, or the consumer has left: nobody wants what is still in work
            self.close()
            raise

    def _share(self, families: Iterator[list[Request]]) -> Iterator[Answered]:
        self._feed(families)
        working = {copy.pipe: copy for copy in self._copies}
        while working:
            for ready in connection.wait(list(working)):
                copy = working[ready]  # type: ignore[index] # only pipes were waited for
                answered = copy.receive()
                if answered is None:
                    del working[copy.pipe]
                else:
                    self._feed(families)
                    yield answered

    def _feed(self, families: Iterator[list[Request]]) -> None:
        """Give every copy as much as it should have, or tell all of them that there is no more."""
        while (idlest := min(self._copies, key=lambda copy: copy.load)).load < AHEAD * self._concurrency:
            family = next(families, None)
            if family is None:
                for copy in self._copies:
                    copy.end()
                return
            idlest.send(family)

    def close(self) -> None:
        """End the copies and let go of their models."""
        copies, self._copies = self._copies, []
        for copy in copies:
            copy.pipe.close()
        for copy in copies:
            copy.process.join(STOP_S)
            copy.process.kill()
            copy.process.join()


class _Copy:
    """One process, the pipe to it, and how much is with it."""

    def __init__(self, name: str, make: Callable[[], Engine], environment: Mapping[str, str]) -> None:
        context = get_context("spawn")  # a fork would share locks of threads and the state of accelerators
        self.name = name
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, make, dict(environment)), name=f"llm {name}")
        self.process.start()
        other.close()
        self.load = 0
        self._ending = False

    def send(self, family: list[Request]) -> None:
        self.load += len(family)
        for request in family:
            self._put(request)

    def end(self) -> None:
        """Have it answer `Ended` after what was sent."""
        if not self._ending:
            self._ending = True
            self._put(None)

    def _put(self, message: Request | None) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # its end is told when it is read from
            self.pipe.send(message)

    def receive(self) -> Answered | None:
        """The next answer; None when it has given all; raises `EngineError` when it cannot go on."""
        try:
            message: Any = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(STOP_S)
            code = self.process.exitcode
            raise EngineError(
                f"{self.name} of the model ended by itself (exit code {code}); run again: what was answered is kept"
            ) from None
        if isinstance(message, Refused):
            raise EngineError(message.reason)
        if isinstance(message, Ended):
            self._ending = False
            return None
        self.load -= 1
        request, result = message
        return request, result


def families_of(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Neighbours of one family together, in pieces of at most `LARGEST_FAMILY`."""
    for _, family in groupby(requests, key=lambda request: request.family):
        while piece := list(islice(family, LARGEST_FAMILY)):
            yield piece


def devices(per_copy: int, copies: int) -> list[dict[str, str]]:
    """Variables that give each copy `per_copy` GPUs of its own, of those that this process may see.

    Raises `EngineError` where CUDA_VISIBLE_DEVICES names too few.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = per_copy * copies
    visible = [str(number) for number in range(wanted)] if named is None else [n for n in named.split(",") if n]
    if len(visible) < wanted:
        raise EngineError(f"{copies} copies of {per_copy} GPUs are wanted; CUDA_VISIBLE_DEVICES names {len(visible)}")
    return [{"CUDA_VISIBLE_DEVICES": ",".join(visible[at : at + per_copy])} for at in range(0, wanted, per_copy)]
