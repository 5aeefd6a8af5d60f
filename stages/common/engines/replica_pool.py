"""Replicas of an engine, each in a process of its own, that share the requests: data parallelism on one machine.

Replicas know nothing of each other. Requests with one prompt go to one replica, whose prefix cache they share, and the
next prompt goes to the replica with the least work, so that none waits for a slower one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby, islice
from multiprocessing import connection, get_context
from typing import Any

from stages.common.engines.engine import Engine, EngineError
from stages.common.engines.replica_worker import ReplicaError, StreamEnd, run_replica
from stages.common.engines.request import Exchange, GenerationRequest

PREFETCH = 4
"""Requests sent to a replica per request that it works on. Engines hold two and take the next before they yield a
response, so with fewer than three the replica and this process would wait for each other."""

MAX_GROUP_SIZE = 64
"""Neighbours with one prompt that stay together; larger groups are split."""

STOP_TIMEOUT_S = 60.0
"""Seconds that a replica has to release its model and end."""


class ReplicaPool:
    """One engine per entry of `environments`, made there by `make`, which must survive pickling.

    Each replica gets its entry's variables before it loads anything, and works on `concurrency` requests at once.
    """

    def __init__(self, make: Callable[[], Engine], environments: Sequence[Mapping[str, str]], concurrency: int) -> None:
        self._make = make
        self._environments = environments
        self._capacity = PREFETCH * concurrency
        self._replicas: list[_Replica] = []

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; also raise `EngineError` when a replica ends by itself."""
        groups = group_by_prompt(requests)
        first = next(groups, None)
        if first is None:
            return
        if not self._replicas:
            total = len(self._environments)
            self._replicas = [
                _Replica(f"replica {number} of {total}", self._make, environment)
                for number, environment in enumerate(self._environments, start=1)
            ]
        try:
            yield from self._distribute(chain([first], groups))
        except BaseException:  # an error, or the consumer has left: what is in flight is not needed
            self.close()
            raise

    def _distribute(self, groups: Iterator[list[GenerationRequest]]) -> Iterator[Exchange]:
        self._send_groups(groups)
        busy = {replica.pipe: replica for replica in self._replicas}
        while busy:
            for ready in connection.wait(list(busy)):
                replica = busy[ready]  # type: ignore[index] # only pipes were waited for
                exchange = replica.receive()
                if exchange is None:
                    del busy[replica.pipe]
                else:
                    self._send_groups(groups)
                    yield exchange

    def _send_groups(self, groups: Iterator[list[GenerationRequest]]) -> None:
        """Fill every replica up to its capacity, or tell all of them that no more follows."""
        while (idlest := min(self._replicas, key=lambda replica: replica.load)).load < self._capacity:
            group = next(groups, None)
            if group is None:
                for replica in self._replicas:
                    replica.end_stream()
                return
            idlest.send(group)

    def close(self) -> None:
        """End the replicas and release their models."""
        replicas, self._replicas = self._replicas, []
        for replica in replicas:
            replica.pipe.close()
        for replica in replicas:
            replica.process.join(STOP_TIMEOUT_S)
            replica.process.kill()
            replica.process.join()


class _Replica:
    """One process, the pipe to it, and the number of requests it holds."""

    def __init__(self, name: str, make: Callable[[], Engine], environment: Mapping[str, str]) -> None:
        context = get_context("spawn")  # a fork would share locks of threads and the state of accelerators
        self.name = name
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=run_replica, args=(other, make, dict(environment)), name=f"engine {name}")
        self.process.start()
        other.close()
        self.load = 0
        self._is_ending = False

    def send(self, group: list[GenerationRequest]) -> None:
        self.load += len(group)
        for request in group:
            self._put(request)

    def end_stream(self) -> None:
        """Have it send `StreamEnd` after its responses to what was sent."""
        if not self._is_ending:
            self._is_ending = True
            self._put(None)

    def _put(self, message: GenerationRequest | None) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # `receive` reports that it has ended
            self.pipe.send(message)

    def receive(self) -> Exchange | None:
        """The next exchange, or None at the stream's end; raise `EngineError` when it cannot go on."""
        try:
            message: Any = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(STOP_TIMEOUT_S)
            raise EngineError(
                f"{self.name} of the model ended by itself (exit code {self.process.exitcode}); run again: all "
                "completions are kept"
            ) from None
        if isinstance(message, ReplicaError):
            raise EngineError(message.reason)
        if isinstance(message, StreamEnd):
            self._is_ending = False
            return None
        self.load -= 1
        request, response = message
        return request, response


def group_by_prompt(requests: Iterable[GenerationRequest]) -> Iterator[list[GenerationRequest]]:
    """Neighbours with one prompt together, at most `MAX_GROUP_SIZE` of them."""
    for _, group in groupby(requests, key=lambda request: request.prompt_hash):
        while chunk := list(islice(group, MAX_GROUP_SIZE)):
            yield chunk


def assign_gpus(num_gpus: int, num_replicas: int) -> list[dict[str, str]]:
    """Variables that give each replica `num_gpus` GPUs of its own, of those visible to this process.

    Raises `EngineError` where CUDA_VISIBLE_DEVICES names too few.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    total = num_gpus * num_replicas
    gpus = [str(number) for number in range(total)] if visible is None else [n for n in visible.split(",") if n]
    if len(gpus) < total:
        raise EngineError(
            f"CUDA_VISIBLE_DEVICES: expected {total} GPUs for {num_replicas} replicas of {num_gpus}, found {len(gpus)}"
        )
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[at : at + num_gpus])} for at in range(0, total, num_gpus)]
