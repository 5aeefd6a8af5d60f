"""ReplicaPool of an engine that share requests: every one answered once, families together, faults and ends told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path

import pytest

from stages.common.engines import Completion, Engine, EngineError, GenerationRequest, Runner
from stages.common.engines.mock_engine import MockEngine
from stages.common.engines.replica_pool import MAX_GROUP_SIZE, ReplicaPool, assign_gpus, group_by_prompt
from stages.common.engines.request import Exchange


class Telling(MockEngine):
    """Says in its answers which process and which environment they come from."""

    def __init__(self, latency_s: float = 0.001) -> None:
        super().__init__(4, latency_s, reply=lambda _: f"{os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}")


class Refusing(MockEngine):
    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        for request in islice(requests, 5):
            yield request, self._respond(request)
        raise EngineError("the model is of no use")


class Dying(MockEngine):
    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        for request in islice(requests, 5):
            yield request, self._respond(request)
        os.kill(os.getpid(), signal.SIGKILL)


def copies(make: partial[Engine] | type[Engine], number: int = 2) -> ReplicaPool:
    return ReplicaPool(partial(make), assign_gpus(1, number), concurrency=4)


@pytest.fixture(autouse=True)
def no_devices_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def requests(problems: int, samples: int = 4) -> list[GenerationRequest]:
    return [GenerationRequest("m", f"{at} + 1?", 1.0, 9, seed) for at in range(problems) for seed in range(samples)]


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 60
    while is_alive(process_id):
        assert time.monotonic() < deadline, f"process {process_id} lives on"
        time.sleep(0.02)


def test_every_request_is_answered_once_and_families_stay_together() -> None:
    engine = copies(Telling, 3)
    asked = requests(60)
    found = list(engine.complete(asked))
    assert sorted(request.key for request, _ in found) == sorted(request.key for request in asked)
    homes: dict[str, set[str]] = {}
    for request, result in found:
        assert isinstance(result, Completion)
        homes.setdefault(str(request.prompt), set()).add(result.text)
    assert all(len(home) == 1 for home in homes.values())
    everywhere = {text for home in homes.values() for text in home}
    assert {text.split()[1] for text in everywhere} == {"0", "1", "2"}, "each copy has its own device, and work"
    again = {result.text for _, result in engine.complete(requests(30)) if isinstance(result, Completion)}
    assert again <= everywhere, "the copies stay for the next stream"
    engine.close()
    for text in everywhere:
        wait_until_gone(int(text.split()[0]))


def test_copies_answer_as_one_engine_does() -> None:
    make = partial(MockEngine, 4, latency_s=0.001, failure_rate=0.1, truncation_rate=0.2)
    asked = requests(25)
    engine = copies(make)
    together = {request.key: result for request, result in engine.complete(asked)}
    engine.close()
    assert together == {request.key: result for request, result in make().complete(asked)}


def test_nothing_to_ask_starts_nothing() -> None:
    assert list(copies(Refusing).complete([])) == []


def test_a_stream_is_taken_as_there_is_room_and_leaving_it_ends_the_copies() -> None:
    taken = count()
    engine = copies(Telling)
    answers = engine.complete(GenerationRequest("m", f"{next(taken)}", 1.0, 9, 0) for _ in count())
    found = [result for _, result in islice(answers, 100)]
    answers.close()
    assert next(taken) < 200
    for process_id in {int(result.text.split()[0]) for result in found if isinstance(result, Completion)}:
        wait_until_gone(process_id)
    assert len(list(engine.complete(requests(5)))) == 20, "and the next stream has new ones"
    engine.close()


@pytest.mark.parametrize(
    ("make", "said"), [(Refusing, "the model is of no use"), (Dying, r"replica . of 2 .* ended by itself .*-9.*kept")]
)
def test_faults_of_a_copy_are_told_after_its_answers(make: type[MockEngine], said: str, tmp_path: Path) -> None:
    with (
        pytest.raises(EngineError, match=said),
        Runner(copies(partial(make, 4)), tmp_path / "j.jsonl", "first") as first,
    ):
        first.run(requests(50))
    assert first.new_usage.completions >= 5
    with Runner(MockEngine(4), tmp_path / "j.jsonl", "second") as second:
        second.run(requests(50))
    assert second.from_journal == first.new_usage.completions
    assert second.new_usage.completions == 200 - first.new_usage.completions


def test_copies_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os\nfrom itertools import count\nfrom test_llm_replicas import GenerationRequest, Telling, copies\n"
        "if __name__ == '__main__':\n"
        "    os.environ.pop('CUDA_VISIBLE_DEVICES', None)\n"
        "    for _, result in copies(Telling).complete(GenerationRequest('m', str(n), 1.0, 9, 0) for n in count()):\n"
        "        print(result.text, flush=True)\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path(__file__).parent.resolve())])}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        found: set[int] = set()
        while len(found) < 2:  # until both copies have answered
            found.add(int(parent.stdout.readline().split()[0]))
        parent.kill()
        for process_id in found:
            wait_until_gone(process_id)


def test_families() -> None:
    assert [len(family) for family in group_by_prompt(requests(3))] == [4, 4, 4]
    assert [len(family) for family in group_by_prompt(requests(1, MAX_GROUP_SIZE + 3))] == [MAX_GROUP_SIZE, 3]
    endless: Iterator[GenerationRequest] = (GenerationRequest("m", "p", 1.0, 9, seed) for seed in count())
    assert len(next(group_by_prompt(endless))) == MAX_GROUP_SIZE


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert assign_gpus(2, 2) == [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "2,3"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    assert assign_gpus(1, 3)[2] == {"CUDA_VISIBLE_DEVICES": "7"}
    with pytest.raises(EngineError, match="CUDA_VISIBLE_DEVICES: expected 4 GPUs for 2 replicas of 2, found 3"):
        assign_gpus(2, 2)
