"""A sliding window over asynchronous work: a plain iterator outside, one event loop in a thread of its own inside.

The loop goes on while the consumer writes to disk, and however many requests there are, only a window of them exists.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from itertools import islice

from stages.common.engines.request import Answered, Request, Result

Answer = Callable[[Request], Awaitable[Result]]

AHEAD = 2
"""Requests taken from the source per one that may be in flight, so that a consumer busy for a moment starves none."""

GRACE_S = 10.0
"""Seconds that tries in flight are given to end after one of them has stopped the whole: they may be paid for."""


class Abandoned(Exception):  # noqa: N818 - an order, not an error
    """Raised inside an answer's pause when all work has been told to stop."""


class Stopping:
    """Tells the answers in work that no further try is to be made."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        """Sleep; raises `Abandoned` as soon as everything is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        raise Abandoned

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()


Opener = Callable[[Stopping], AbstractAsyncContextManager[Answer]]
"""Opens, inside the loop, what answers one request; it is closed when all work is done."""


def answer_all(opener: Opener, requests: Iterable[Request], concurrency: int) -> Generator[Answered, None, None]:
    """Answer `requests` with at most `concurrency` in flight; gives each with its result as it comes.

    An exception of an answer stops the rest: no further request starts, those in flight may end within `GRACE_S`, and
    once their results are given the exception is raised here.
    """
    source = iter(requests)
    first = list(islice(source, AHEAD * concurrency))
    if not first:
        return
    window = _Window(opener, min(concurrency, len(first)))
    try:
        yield from window.run(first, source)
    finally:
        window.close()


class _Ended:
    """Put behind the last result when work has ended before it was told to."""

    def __init__(self, fault: BaseException) -> None:
        self.fault = fault


class _Window:
    """The thread, its loop, and the two queues that lead in and out."""

    def __init__(self, opener: Opener, workers: int) -> None:
        self._opener = opener
        self._workers = workers
        self._todo: asyncio.Queue[Request | None] = asyncio.Queue()
        self._done: queue.SimpleQueue[Answered | _Ended] = queue.SimpleQueue()
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        self._thread = threading.Thread(target=self._run, name="llm-window", daemon=True)

    def run(self, first: list[Request], source: Iterator[Request]) -> Iterator[Answered]:
        """Give the results of `first`, then of `source`, of which one more is taken for each that is given."""
        for request in first:
            self._todo.put_nowait(request)
        self._thread.start()
        loop, _ = self._started.result()
        waiting = len(first)
        while waiting:
            answered = self._done.get()
            if isinstance(answered, _Ended):
                raise answered.fault
            waiting -= 1
            for request in islice(source, 1):
                with suppress(RuntimeError):  # the loop has ended by itself: the reason comes behind the last result
                    loop.call_soon_threadsafe(self._todo.put_nowait, request)
                waiting += 1
            yield answered

    def close(self) -> None:
        """Give up what is in work and wait for the thread."""
        if self._thread.ident is None:
            return
        loop, task = self._started.result()
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 - carried over to the consumer's thread, whatever it is
            self._done.put(_Ended(error))

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._started.set_result((asyncio.get_running_loop(), task))
        stopping = Stopping()
        async with self._opener(stopping) as answer:
            tasks = [asyncio.create_task(self._answer_some(answer, stopping)) for _ in range(self._workers)]
            try:
                ended, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                stopping.set()
                for _ in others:
                    self._todo.put_nowait(None)  # wakes one that has nothing to do
                if others:
                    await asyncio.wait(others, timeout=GRACE_S)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        raise next(fault for task in ended if (fault := task.exception()) is not None)

    async def _answer_some(self, answer: Answer, stopping: Stopping) -> None:
        while True:
            request = await self._todo.get()
            if stopping or request is None:
                return
            try:
                result = await answer(request)
            except Abandoned:
                return
            self._done.put((request, result))
