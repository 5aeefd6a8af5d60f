"""Concurrent asynchronous requests behind a plain iterator, with bounded work.

The event loop runs while the consumer waits for a response. What the consumer does between two of them is short, since
completions go to disk in a thread of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import chain, islice

from stages.common.engines.request import Exchange, GenerationRequest, Response

Responder = Callable[[GenerationRequest], Awaitable[Response]]

GRACE_S = 10.0
"""Seconds that requests in flight may still take after one of them has failed for all: they may cost money."""


class Cancelled(Exception):  # noqa: N818 - a signal, not an error
    """Raised by `StopSignal.sleep` once no further attempt is to be made."""


class StopSignal(asyncio.Event):
    """Tells requests in flight that no further attempt is to be made."""

    async def sleep(self, seconds: float) -> None:
        """Sleep; raise `Cancelled` as soon as the signal is set."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return
        raise Cancelled


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
    first = list(islice(source, 1))
    if not first:
        return
    session = _Session()
    try:
        yield from session.run(opener, chain(first, source), concurrency)
    finally:
        session.close()


class _Session:
    """An event loop, and the tasks of the requests in flight."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._stop = StopSignal()
        self._tasks: dict[asyncio.Task[Response], GenerationRequest] = {}
        self._finished: asyncio.Queue[asyncio.Task[Response]] = asyncio.Queue()

    def run(self, opener: Opener, source: Iterator[GenerationRequest], concurrency: int) -> Iterator[Exchange]:
        """Yield the exchanges of `source`, from which one request is taken per exchange after the first ones."""
        respond = self._loop.run_until_complete(self._stack.enter_async_context(opener(self._stop)))
        self._start(respond, islice(source, concurrency))
        while self._tasks:
            task = self._loop.run_until_complete(self._finished.get())
            request = self._tasks.pop(task)
            if error := task.exception():
                yield from self._drain()
                raise error
            self._start(respond, islice(source, 1))
            yield request, task.result()

    def close(self) -> None:
        """Cancel what is in flight and close the responder."""
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    def _start(self, respond: Responder, requests: Iterable[GenerationRequest]) -> None:
        for request in requests:
            task = self._loop.create_task(self._respond(respond, request))
            self._tasks[task] = request
            task.add_done_callback(self._finished.put_nowait)

    async def _respond(self, respond: Responder, request: GenerationRequest) -> Response:
        if self._stop.is_set():
            raise Cancelled
        try:
            return await respond(request)
        except BaseException:
            self._stop.set()  # before another request makes a further attempt
            raise

    def _drain(self) -> Iterator[Exchange]:
        """After an error, yield the exchanges that still complete within `GRACE_S` seconds."""
        if self._tasks:
            done, _ = self._loop.run_until_complete(asyncio.wait(self._tasks, timeout=GRACE_S))
            yield from ((self._tasks[task], task.result()) for task in done if task.exception() is None)
