"""The ray engine on a Ray cluster of several nodes on this machine, one of which is killed at work."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import Completion, EngineError, GenerationRequest, Runner
from stages.common.engines.mock_engine import MockEngine
from stages.common.engines.ray_engine import RayEngine
from stages.common.engines.request import Exchange
from tests.support.ray_nodes import ray_head, wait_for_text

pytest.importorskip("ray", reason="Ray is not installed here: pip install -e '.[ray]'")

FAKE = partial(MockEngine, 4, failure_rate=0.05, truncation_rate=0.2)


class Doomed(MockEngine):
    """Writes down the batches that it starts, and never ends one on the node `doomed`."""

    def __init__(self, doomed: str, starts: Path) -> None:
        super().__init__(4, failure_rate=0.05, truncation_rate=0.2)
        self._doomed = doomed
        self._starts = starts

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        import ray

        batch, node = list(requests), ray.get_runtime_context().get_node_id()
        with self._starts.open("a") as file:
            file.write(f"{node} {batch[0].key}\n")
        if node == self._doomed:
            threading.Event().wait()
        return super().complete(batch)


class Refusing(MockEngine):
    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        raise EngineError("the model is of no use")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that works on nothing; each test adds its nodes."""
    with ray_head() as made:
        yield made


def requests(problems: int, samples: int = 4) -> list[GenerationRequest]:
    return [GenerationRequest("m", f"{at} + 1?", 1.0, 9, seed) for at in range(problems) for seed in range(samples)]


def written(runner: Runner, asked: list[GenerationRequest]) -> bytes:
    """What a stage writes of the answers, in its own order."""
    answers = [runner.get(request) for request in asked]
    return json.dumps([a.to_json() if isinstance(a, Completion) else a.reason for a in answers]).encode()


def test_a_node_lost_at_work_changes_no_byte(cluster: Any, tmp_path: Path) -> None:
    nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
    cluster.wait_for_nodes()
    asked, starts = requests(200), tmp_path / "starts"

    make = partial(Doomed, nodes[1].node_id, starts)

    class Killing(RayEngine):
        def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
            answers = super().complete(requests)
            yield from islice(answers, 100)
            wait_for_text(starts, nodes[1].node_id)
            cluster.remove_node(nodes[1], allow_graceful=False)
            yield from answers

    with Runner(Killing(make, num_replicas=4, num_gpus=0, concurrency=4), tmp_path / "ray.jsonl", "ray") as runner:
        runner.run(asked)
        over_ray = written(runner, asked)
    with Runner(FAKE(), tmp_path / "alone.jsonl", "alone") as alone:
        alone.run(asked)
        assert over_ray == written(alone, asked)
    assert runner.new_usage == alone.new_usage, "nothing is counted twice"
    lines = [line.split() for line in starts.read_text().splitlines()]
    lost = {batch for node, batch in lines if node == nodes[1].node_id}
    assert lost
    assert lost <= {batch for node, batch in lines if node != nodes[1].node_id}, (
        "and what it had in work was done again"
    )


def test_the_error_of_a_replica_is_reported(cluster: Any) -> None:
    cluster.add_node(num_cpus=2)
    with pytest.raises(EngineError, match="the model is of no use"):
        list(RayEngine(partial(Refusing, 4), num_replicas=1, num_gpus=0, concurrency=4).complete(requests(2)))


def test_gpus_that_no_node_has_are_not_waited_for(cluster: Any) -> None:
    node = cluster.add_node(num_cpus=1, num_gpus=2)
    with pytest.raises(EngineError, match=r"a replica needs 4 GPUs of one node, but no node .* more than 2"):
        list(RayEngine(FAKE, num_replicas=1, num_gpus=4, concurrency=4).complete(requests(1)))
    cluster.remove_node(node)


def test_nothing_to_ask_joins_no_cluster() -> None:
    assert list(RayEngine(FAKE, num_replicas=1, num_gpus=0, concurrency=4).complete([])) == []
