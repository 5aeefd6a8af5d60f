"""The `ray` engine: requests shared by copies of a model over a Ray cluster, with Ray Data.

The cluster is the one at RAY_ADDRESS, else one on this machine for as long as the program runs. A node that is lost
takes nothing along: what it had in work is done again by others, and equal seeds give equal samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from stages.common.cluster import Cluster, ClusterError, one_line
from stages.common.engines.engine import Engine
from stages.common.engines.errors import EngineError
from stages.common.engines.request import Answered, Completion, Failure, Request, Result

if TYPE_CHECKING:
    from ray.data import Dataset

WINDOW = 100_000
"""Requests that are one Ray dataset: held in the cluster's memory, answered by copies that load the model once."""

BATCH = 8
"""Requests sent to a copy together, per one that it works on at once; at a batch's end some of its places are empty."""

Rows = dict[str, Any]
"""A batch in Ray's form: column by column."""


class RayEngine:
    """`copies` engines over the cluster, each made there by `make`, which must survive pickling.

    Each has `gpus` GPUs of one node to itself, or none where the cluster has none, and works on `concurrency` requests
    at once. Models in folders, and this code, must lie at the same path on every node.
    """

    def __init__(self, make: Callable[[], Engine], copies: int, gpus: int, concurrency: int) -> None:
        self._make = make
        self._copies = copies
        self._gpus = gpus
        self._concurrency = concurrency
        self._cluster = Cluster("engine ray")

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """See `Engine.complete`; raises `EngineError` where Ray or a copy cannot go on. Up to `WINDOW` are taken."""
        source = iter(requests)
        while window := list(islice(source, WINDOW)):
            self._join()
            yield from self._answer(window)

    def _join(self) -> None:
        """Connect to the cluster, unless this program is connected already, and look at its GPUs."""
        try:
            self._cluster.join()
        except ClusterError as error:
            raise EngineError(str(error)) from error
        most = self._cluster.most("GPU")
        if 0 < most < self._gpus:  # Ray would wait on
            raise EngineError(
                f"engine ray: a copy wants {self._gpus} GPUs of one node; no node of the cluster has over {most}"
            )
        self._gpus = self._gpus if most else 0

    def _answer(self, window: list[Request]) -> Iterator[Answered]:
        from ray.exceptions import RayError

        try:
            for row in self._answered(window).iter_rows():
                result = json.loads(row["result"])
                if "refused" in result:
                    raise EngineError(result["refused"])
                yield window[row["at"]], _result(result)
        except RayError as error:
            raise EngineError(f"engine ray: {one_line(error)}; run again: what was answered is kept") from error

    def _answered(self, window: list[Request]) -> Dataset:
        """A lazy dataset of rows ``{at, result}``; neighbours stay together in its blocks."""
        from ray.data import ActorPoolStrategy, from_items

        blocks = -(-len(window) // (BATCH * self._concurrency))
        rows = [{"at": at, "request": json.dumps(vars_of(request))} for at, request in enumerate(window)]
        return from_items(rows, override_num_blocks=blocks).map_batches(
            _Copy,
            fn_constructor_args=(self._make,),
            batch_size=None,  # a block is a batch
            compute=ActorPoolStrategy(size=min(self._copies, blocks)),
            num_gpus=self._gpus,
            num_cpus=1,
        )

    def close(self) -> None:
        """Leave the cluster, which ends one of our own."""
        self._cluster.close()


class _Copy:
    """An engine in an actor of the cluster."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._engine = make()

    def __call__(self, batch: Rows) -> Rows:
        """Columns ``at, request`` in; ``at, result`` out, row by row."""
        requests = [request_of(json.loads(text)) for text in batch["request"]]
        found: dict[str, Result] = {}
        refused = "not answered"
        try:
            found.update((request.key, result) for request, result in self._engine.complete(requests))
        except EngineError as error:  # as data: what is raised here comes out as a traceback in a text
            refused = str(error)
        written = [
            _written(found[request.key]) if request.key in found else {"refused": refused} for request in requests
        ]
        return {"at": batch["at"], "result": [json.dumps(value) for value in written]}


def vars_of(request: Request) -> dict[str, Any]:
    """`request` as JSON can hold it."""
    fields = request.__dataclass_fields__
    return {name: getattr(request, name) for name in fields}


def request_of(value: dict[str, Any]) -> Request:
    """The request that `vars_of` wrote."""
    return Request(**{**value, "stop": tuple(value["stop"])})


def _written(result: Result) -> dict[str, Any]:
    return {"failed" if isinstance(result, Failure) else "completed": dict(vars(result))}


def _result(value: dict[str, Any]) -> Result:
    return Failure(**value["failed"]) if "failed" in value else Completion(**value["completed"])
