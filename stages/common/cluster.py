"""A Ray cluster: the one at RAY_ADDRESS, else one on this machine for as long as the program runs."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import stages
from stages.common.errors import UserError
from stages.common.plugins import IMPORTED, import_plugins

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]


CONNECT_TIMEOUT_S = 10.0
"""Seconds that the cluster at RAY_ADDRESS may take to accept a connection; Ray itself would try for minutes."""


class ClusterError(UserError):
    """The cluster cannot be used; the message is one line with the cause."""


class Cluster:
    """A connection to a cluster, made when it is first needed; `name` starts each message.

    This code, and the plugins in use, must lie at the same path on every node.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_joined = False

    def join(self) -> None:
        """Connect, unless this program is connected already; raise `ClusterError` where that fails."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            from ray.data import DataContext
        except ImportError as error:
            raise self._make_error(f"Ray cannot be imported ({error}); pip install 'stepkto-data[ray]'") from error
        if not ray.is_initialized():
            self._check_reachable(os.environ.get("RAY_ADDRESS", ""))
            paths = os.pathsep.join([str(Path(stages.__file__).resolve().parents[1]), str(Path.cwd())])
            try:
                ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": {"PYTHONPATH": paths}})
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise self._make_error(f"no cluster can be joined: {describe_cause(error)}") from error
            self._is_joined = True
        DataContext.get_current().enable_progress_bars = False

    def _check_reachable(self, address: str) -> None:
        """Raise `ClusterError` where `address` is a host and port that does not accept connections."""
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host:  # none is named, or by a word of Ray's own, like "auto"
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
        except (OSError, ValueError, OverflowError) as error:
            cause = describe_cause(error)
            raise self._make_error(f"no cluster can be joined: RAY_ADDRESS is {address!r}, {cause}") from error

    def get_largest(self, resource: str) -> int:
        """The most of `resource`, such as CPU or GPU, that any single node has."""
        import ray

        return max((int(node["Resources"].get(resource, 0)) for node in ray.nodes() if node["Alive"]), default=0)

    def map(
        self, tables: Sequence[pa.Table], work: Callable[[pa.Table], pa.Table], num_cpus: int
    ) -> Iterator[pa.Table]:
        """The results of `work`, which must survive pickling, for each of `tables`, in any order.

        Each call has `num_cpus` processors of one node to itself, and is repeated elsewhere if its node is lost.
        Raises `ClusterError` where no node has as many, and where `work` fails.
        """
        self.join()
        from ray.data import from_arrow
        from ray.exceptions import RayError

        if (available := self.get_largest("CPU")) < num_cpus:  # Ray would wait
            raise self._make_error(
                f"a task needs {num_cpus} processors of one node, but no node of the cluster has more than {available}"
            )
        results = from_arrow(list(tables)).map_batches(
            partial(_work_with_plugins, list(IMPORTED), work),
            batch_size=None,  # a table is a batch
            batch_format="pyarrow",
            num_cpus=num_cpus,
        )
        try:
            yield from results.iter_batches(batch_size=None, batch_format="pyarrow")
        except RayError as error:
            raise self._make_error(describe_cause(error)) from error

    def _make_error(self, message: str) -> ClusterError:
        return ClusterError(f"{self._name}: {message}")

    def close(self) -> None:
        """Leave the cluster, which ends one of our own."""
        if self._is_joined:
            import ray

            ray.shutdown()
            self._is_joined = False


def _work_with_plugins(plugins: list[str], work: Callable[[pa.Table], pa.Table], table: pa.Table) -> pa.Table:
    """What `work` makes of `table`, in a process that has imported no plugin yet."""
    import_plugins(plugins)
    return work(table)


def describe_cause(error: BaseException) -> str:
    """The last 300 characters of an error's message on one line: in Ray's traceback they hold the cause."""
    return " ".join(str(error).split())[-300:]
