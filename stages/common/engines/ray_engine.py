"""The `ray` engine: requests shared by replicas of a model over a Ray cluster, with Ray Data.

The cluster is the one at RAY_ADDRESS, else one on this machine for as long as the program runs. The loss of a node
loses no work: its requests are repeated by others, and equal seeds give equal samples.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common.cluster import Cluster, describe_cause
from stages.common.engines.engine import Engine, EngineError, ModelId
from stages.common.engines.kinds import EngineContext
from stages.common.engines.request import Exchange, GenerationRequest, Response
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_engine import VllmEngine, VllmKind
from stages.common.params.engine import EngineParams

if TYPE_CHECKING:
    from ray.data import Dataset

CHUNK_SIZE = 100_000
"""Requests per Ray dataset: held in the cluster's memory, completed by replicas that load the model once."""

BATCH_FACTOR = 8
"""Requests sent to a replica together, per request that it works on at once; at a batch's end some slots are empty."""

RayBatch = dict[str, Any]
"""A batch in Ray's form: column by column."""


class RayKind(VllmKind):
    """vLLM over a Ray cluster."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> RayEngine:
        """A folder's path is made absolute: a cluster's processes start in folders of their own."""
        vllm = params.vllm
        if Path(model.source).is_dir():
            model = replace(model, source=str(Path(model.source).resolve()))
        concurrency = -(-params.concurrency // vllm.data_parallel_size)
        policy = RetryPolicy(params.request_timeout_s, params.attempt_timeout_s)
        replica = vllm.model_copy(update={"data_parallel_size": 1})
        python = context.get_runtime().vllm_python
        make = partial(VllmEngine, model, replica, concurrency, policy, python=python)
        return RayEngine(make, vllm.data_parallel_size, vllm.tensor_parallel_size, concurrency)


class RayEngine:
    """`num_replicas` engines over the cluster, each made there by `make`, which must survive pickling.

    Each has `num_gpus` GPUs of one node to itself, or none where the cluster has none, and works on `concurrency`
    requests at once. Models in folders, and this code, must lie at the same path on every node.
    """

    def __init__(self, make: Callable[[], Engine], num_replicas: int, num_gpus: int, concurrency: int) -> None:
        self._make = make
        self._num_replicas = num_replicas
        self._num_gpus = num_gpus
        self._concurrency = concurrency
        self._cluster = Cluster("engine ray")

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; raise `UserError` where Ray or a replica fails. Takes up to `CHUNK_SIZE`."""
        source = iter(requests)
        while chunk := list(islice(source, CHUNK_SIZE)):
            self._join_cluster()
            yield from self._complete_chunk(chunk)

    def _join_cluster(self) -> None:
        self._cluster.join()
        available = self._cluster.get_largest("GPU")
        if 0 < available < self._num_gpus:  # Ray would wait
            raise EngineError(
                f"engine ray: a replica needs {self._num_gpus} GPUs of one node, but no node of the cluster has more "
                f"than {available}"
            )
        self._num_gpus = self._num_gpus if available else 0

    def _complete_chunk(self, chunk: list[GenerationRequest]) -> Iterator[Exchange]:
        from ray.exceptions import RayError

        try:
            for row in self._make_dataset(chunk).iter_rows():
                response = pickle.loads(row["response"])  # noqa: S301 - this program wrote it
                if isinstance(response, EngineError):
                    raise response
                yield chunk[row["index"]], response
        except RayError as error:
            raise EngineError(f"engine ray: {describe_cause(error)}; run again: all completions are kept") from error

    def _make_dataset(self, chunk: list[GenerationRequest]) -> Dataset:
        """A lazy dataset of rows ``{index, response}``; neighbours stay together in its blocks."""
        from ray.data import ActorPoolStrategy, from_items

        num_blocks = -(-len(chunk) // (BATCH_FACTOR * self._concurrency))
        rows = [{"index": index, "request": pickle.dumps(request)} for index, request in enumerate(chunk)]
        return from_items(rows, override_num_blocks=num_blocks).map_batches(
            _RayReplica,
            fn_constructor_args=(self._make,),
            batch_size=None,  # a block is a batch
            compute=ActorPoolStrategy(size=min(self._num_replicas, num_blocks)),
            num_gpus=self._num_gpus,
            num_cpus=1,
        )

    def close(self) -> None:
        """Leave the cluster, which ends one of our own."""
        self._cluster.close()


class _RayReplica:
    """An engine in an actor of the cluster."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._engine = make()

    def __call__(self, batch: RayBatch) -> RayBatch:
        """Columns ``index, request`` in; ``index, response`` out, row by row."""
        requests: list[GenerationRequest] = [pickle.loads(each) for each in batch["request"]]  # noqa: S301
        responses: dict[str, Response | EngineError] = {}
        error = EngineError("no response")
        try:
            responses.update((request.key, response) for request, response in self._engine.complete(requests))
        except EngineError as raised:  # as data: an exception would come out as a traceback in a text
            error = EngineError(str(raised))
        return {
            "index": batch["index"],
            "response": [pickle.dumps(responses.get(request.key, error)) for request in requests],
        }
