"""Concurrent asynchronous requests behind a plain iterator: an event loop in its own thread, with bounded work.

The loop continues while the consumer writes to disk, and only a bounded number of requests exists at any time.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Any, TypeVar

from stages.common.engines.request import Exchange, GenerationRequest, Response

T = TypeVar("T")

Responder = Callable[[GenerationRequest], Awaitable[Response]]

PREFETCH = 2
"""Requests taken from the source per request that may be in flight, so that a slow consumer idles no server."""

GRACE_S = 10.0
"""Seconds that requests in flight may still take after one of them has failed for all: they may cost money."""


class Cancelled(Exception):  # noqa: N818 - a signal, not an error
    """Raised by `StopSignal.sleep` once no further attempt is to be made."""


class StopSignal:
    """Tells requests in flight that no further attempt is to be made."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Sleep; raise `Cancelled` as soon as the signal is set."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        raise Cancelled

    def set(self) -> None:
        """Set the signal; to be called in the loop's thread."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the signal is set."""
        return self._event.is_set()


Opener = Callable[[StopSignal], AbstractAsyncContextManager[Responder]]
"""Opens, inside the loop, what responds to one request; it is closed when all work is done."""


def respond_concurrently(
    opener: Opener, requests: Iterable[GenerationRequest], concurrency: int
) -> Generator[Exchange, None, None]:
    """Yield each of `requests` with its response, in the order of arrival, with at most `concurrency` in flight.

    An exception of one request stops the rest: no further request starts, those in flight may finish within
    `GRACE_S` seconds, and the exception is raised after their responses.
    """
    source = iter(requests)
    first = list(islice(source, PREFETCH * concurrency))
    if not first:
        return
    session = _Session(opener, concurrency)
    try:
        yield from session.run(first, source)
    finally:
        session.close()


class _Session:
    """A thread with an event loop, and the futures of the requests handed to it."""

    def __init__(self, opener: Opener, concurrency: int) -> None:
        self._context: AbstractAsyncContextManager[Responder] | None = None
        self._opener = opener
        self._pending: dict[Future[Response], GenerationRequest] = {}
        self._finished: queue.SimpleQueue[Future[Response]] = queue.SimpleQueue()
        self._stop = StopSignal()
        self._limit = asyncio.Semaphore(concurrency)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine-loop", daemon=True)
        self._thread.start()

    def run(self, first: list[GenerationRequest], source: Iterator[GenerationRequest]) -> Iterator[Exchange]:
        """Yield the exchanges of `first`, then of `source`, from which one request is taken per exchange."""
        self._respond = self._call(self._open()).result()
        for request in first:
            self._submit(request)
        while self._pending:
            future = self._finished.get()
            request = self._pending.pop(future)
            error = future.exception()
            if error is not None:
                yield from self._drain()
                raise error
            for further in islice(source, 1):
                self._submit(further)
            yield request, future.result()

    def close(self) -> None:
        """Cancel what is in flight, close the responder and end the thread."""
        self._call(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, request: GenerationRequest) -> None:
        future = self._call(self._respond_in_turn(request))
        self._pending[future] = request
        future.add_done_callback(self._finished.put)

    def _drain(self) -> Iterator[Exchange]:
        """After an error, yield the exchanges that still complete within `GRACE_S` seconds."""
        deadline = time.monotonic() + GRACE_S
        while self._pending:
            try:
                future = self._finished.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            request = self._pending.pop(future)
            if future.exception() is None:
                yield request, future.result()

    def _call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open(self) -> Responder:
        context = self._opener(self._stop)
        respond = await context.__aenter__()
        self._context = context
        return respond

    async def _respond_in_turn(self, request: GenerationRequest) -> Response:
        async with self._limit:
            if self._stop.is_set:
                raise Cancelled
            try:
                return await self._respond(request)
            except BaseException:
                self._stop.set()  # before another request takes this one's place
                raise

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._context is not None:
            await self._context.__aexit__(None, None, None)
