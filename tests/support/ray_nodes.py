"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def ray_head() -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` whose head works on nothing, joined by this process; nodes are yet to be added."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests/real")])  # tasks import the test module that made them
    ray.init(address=made.address, runtime_env={"env_vars": {"PYTHONPATH": paths}}, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def wait_for_text(path: Path, text: str, times: int = 1) -> None:
    """Wait until the file holds `text` so many times."""
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_text().count(text) < times:
        assert time.monotonic() < deadline, f"{text} never came"
        time.sleep(0.05)
