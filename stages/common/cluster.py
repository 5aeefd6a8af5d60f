"""A Ray cluster: the one at RAY_ADDRESS, else one on this machine for as long as the program runs."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import stages

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]


_PATIENCE = 10.0
"""Seconds that the cluster at RAY_ADDRESS may take to accept a connection; Ray itself would try for minutes."""


class ClusterError(ValueError):
    """The cluster cannot be worked with; the message is one line that says why."""


class Cluster:
    """A program's place in a cluster, taken when it is first needed; `asked_by` is what begins each message.

    This code must lie at the same path on every node.
    """

    def __init__(self, asked_by: str) -> None:
        self._asked_by = asked_by
        self._joined = False

    def join(self) -> None:
        """Connect, unless this program is connected already; raises `ClusterError` where that cannot be."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            from ray.data import DataContext
        except ImportError as error:
            raise self.error(f"Ray cannot be imported ({error}); pip install 'stepkto-data[ray]'") from error
        if not ray.is_initialized():
            self._knock(os.environ.get("RAY_ADDRESS", ""))
            root = str(Path(stages.__file__).resolve().parents[1])
            try:
                ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": {"PYTHONPATH": root}})
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise self.error(f"no cluster can be joined: {one_line(error)}") from error
            self._joined = True
        DataContext.get_current().enable_progress_bars = False

    def _knock(self, address: str) -> None:
        """Raise `ClusterError` where `address` is a host and port, and nobody is there."""
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host:  # none is named, or by a word of Ray's own, like "auto"
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        except (OSError, ValueError, OverflowError) as error:
            raise self.error(f"no cluster can be joined: RAY_ADDRESS is {address!r}, {one_line(error)}") from error

    def most(self, resource: str) -> int:
        """How much of `resource`, such as CPU or GPU, the node has that has most of it."""
        import ray

        return max((int(node["Resources"].get(resource, 0)) for node in ray.nodes() if node["Alive"]), default=0)

    def map(
        self, tables: Sequence[pa.Table], work: Callable[[pa.Table], pa.Table], processors: int
    ) -> Iterator[pa.Table]:
        """What `work`, which must survive pickling, makes of each of `tables`, in any order.

        Each call has `processors` processors of one node to itself, and is made again elsewhere if its node is lost.
        Raises `ClusterError` where no node has as many, and where `work` fails.
        """
        self.join()
        from ray.data import from_arrow
        from ray.exceptions import RayError

        if (most := self.most("CPU")) < processors:  # Ray would wait on
            raise self.error(
                f"a task wants {processors} processors of one node; no node of the cluster has over {most}"
            )
        calls = from_arrow(list(tables)).map_batches(
            work,
            batch_size=None,  # a table is a batch
            batch_format="pyarrow",
            num_cpus=processors,
        )
        try:
            yield from calls.iter_batches(batch_size=None, batch_format="pyarrow")
        except RayError as error:
            raise self.error(one_line(error)) from error

    def error(self, message: str) -> ClusterError:
        """The error that says `message`."""
        return ClusterError(f"{self._asked_by}: {message}")

    def close(self) -> None:
        """Leave the cluster, which ends one of our own."""
        if self._joined:
            import ray

            ray.shutdown()
            self._joined = False


def one_line(error: BaseException) -> str:
    """The end of what `error` says, which in Ray's traceback is its cause."""
    return " ".join(str(error).split())[-300:]
