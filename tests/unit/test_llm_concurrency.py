"""The sliding window: all are answered, few exist at once, faults and closing end it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from stages.common.engines.concurrency import Responder, StopSignal, respond_concurrently
from stages.common.engines.request import Completion, Failure, GenerationRequest, Response


def request(number: int) -> GenerationRequest:
    return GenerationRequest("m", f"prompt {number}", 1.0, 10, number)


def completion(request: GenerationRequest) -> Completion:
    return Completion(str(request.seed), "stop", 1, 1, 0, "m")


class Work:
    """Answers after a turn of the loop; `stop_at` raises, `stuck` never ends unless told to."""

    def __init__(self, stop_at: int | None = None, stuck: frozenset[int] = frozenset()) -> None:
        self.stop_at = stop_at
        self.stuck = stuck
        self.now = self.most = self.started = 0
        self.closed = False

    @asynccontextmanager
    async def open(self, stop: StopSignal) -> AsyncIterator[Responder]:
        async def answer(request: GenerationRequest) -> Response:
            self.started += 1
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                if request.seed in self.stuck:
                    await stop.sleep(3600)
                await asyncio.sleep(0.001 * ((request.seed or 0) % 7))
                if request.seed == self.stop_at:
                    raise RuntimeError("no more")
                return completion(request)
            finally:
                self.now -= 1

        try:
            yield answer
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, 7, 500])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_all_are_answered_once_with_few_at_a_time(count: int, concurrency: int) -> None:
    work = Work()
    taken = given = 0

    def source() -> Iterator[GenerationRequest]:
        nonlocal taken
        for number in range(count):
            taken += 1
            assert taken - given <= concurrency + 1
            yield request(number)

    seeds = []
    for asked, result in respond_concurrently(work.open, source(), concurrency):
        given += 1
        assert result == completion(asked)
        seeds.append(asked.seed)
    assert sorted(seed for seed in seeds if seed is not None) == list(range(count))
    assert work.most <= concurrency
    assert work.closed == (count > 0)


def test_a_fault_comes_after_the_answers_and_ends_pauses() -> None:
    work = Work(stop_at=20, stuck=frozenset({3, 5}))
    seen: list[int | None] = []
    answers = respond_concurrently(work.open, map(request, range(10_000)), 8)
    with pytest.raises(RuntimeError, match="no more"):
        seen.extend(asked.seed for asked, _ in answers)
    assert set(range(20)) - {3, 5} <= {*seen, *range(13, 20)}
    assert work.started < 60
    assert work.started - len(seen) <= 3, "what was in flight and could end has been given"
    assert work.closed


def test_closing_early_gives_up_what_is_in_work() -> None:
    work = Work(stuck=frozenset(range(2, 10_000)))
    answers = respond_concurrently(work.open, map(request, range(10_000)), 4)
    assert {next(answers)[0].seed, next(answers)[0].seed} == {0, 1}
    answers.close()
    assert work.closed
    assert work.started <= 6


def test_a_fault_of_the_opener_and_of_the_source() -> None:
    @asynccontextmanager
    async def refuse(_stop: StopSignal) -> AsyncIterator[Responder]:
        raise ValueError("no key")
        yield

    with pytest.raises(ValueError, match="no key"):
        list(respond_concurrently(refuse, [request(1)], 4))

    def breaking() -> Iterator[GenerationRequest]:
        yield from map(request, range(20))
        raise KeyError("bad row")

    work = Work()
    with pytest.raises(KeyError, match="bad row"):
        list(respond_concurrently(work.open, breaking(), 2))
    assert work.closed


def test_a_failure_is_a_result_like_any_other() -> None:
    @asynccontextmanager
    async def fail(_stop: StopSignal) -> AsyncIterator[Responder]:
        async def answer(_request: GenerationRequest) -> Response:
            return Failure("gone", 3)

        yield answer

    assert [result for _, result in respond_concurrently(fail, map(request, range(5)), 2)] == [Failure("gone", 3)] * 5
