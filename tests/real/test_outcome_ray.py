"""Grading over a Ray cluster: the table of the local pool, whatever a pair, an order or a node does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.common.cluster import Cluster, ClusterError
from stages.common.params.outcome import OutcomeParams
from stages.common.plugins import import_plugins
from stages.common.provenance import hash_folder
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE, ShardWriter
from stages.outcome import stage, verify_samples, verify_table
from stages.outcome.verify_table import verify_on_ray
from tests.support.ray_nodes import ray_head, wait_for_text

PARAMS = OutcomeParams(timeout_s=5.0)
SPREAD = "runtime.distributed: ray"
ENDLESS = r"\boxed{\sum_{i=1}^{999}\sum_{j=1}^{999}\sum_{k=1}^{999}\sqrt{i j k}}"


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_table, "TASK_SAMPLES", 20)


def tables(count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Problems with a right, a wrong and an unfinished sample each, every other one a matter of algebra."""
    problem: dict[str, Any] = dict.fromkeys(PROBLEM.schema, "-") | {"origin_row": 0, "task": "math"}
    sample: dict[str, Any] = dict.fromkeys(SAMPLE.schema) | {"policy": "-", "sampling_hash": "-"}
    problems, drawn = [], []
    for at in reversed(range(count)):
        name, gold = f"p{at:03}", f"x+{at}" if at % 2 else str(at)
        problems.append(problem | {"problem_id": name, "answer": gold})
        right = rf"So \boxed{{{at}+x}}" if at % 2 else f"The answer is {at}."
        for index, (text, finish) in enumerate([(right, "stop"), (r"\boxed{x-1}", "stop"), ("It is", "length")]):
            row = {"sample_id": f"s{at:03}-{index}", "problem_id": name, "sample_index": index}
            drawn.append(sample | row | {"completion": text, "finish_reason": finish})
    return pl.DataFrame(problems, schema=PROBLEM.schema), pl.DataFrame(drawn, schema=SAMPLE.schema)


Work = Callable[[Any], Any]


class Backwards(Cluster):
    """No cluster at all: the tables are worked on here, the last one first."""

    def map(self, tables: Sequence[Any], work: Work, processors: int) -> Iterator[Any]:
        assert len(tables) > 1
        yield from map(work, reversed(tables))


class Older(Backwards):
    """Its nodes have other rules."""

    def map(self, tables: Sequence[Any], work: Work, processors: int) -> Iterator[Any]:
        for table in super().map(tables, work, processors):
            yield pl.DataFrame(table).with_columns(verifier=pl.lit("rules of old")).to_arrow()


def test_rows_are_in_their_order_whichever_task_ends_first() -> None:
    assert_frame_equal(verify_on_ray(*tables(20), PARAMS, 1, Backwards(SPREAD)), verify_samples(*tables(20), PARAMS, 1))


def test_a_node_with_another_verifier_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a node of the cluster has verifier 'rules of old', this machine \['"):
        verify_on_ray(*tables(20), PARAMS, 1, Older(SPREAD))


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ClusterError, match=r"^runtime.distributed: ray: Ray cannot be imported .*'stepkto-data\[ray\]'$"
    ):
        verify_on_ray(*tables(2), PARAMS, 2, Cluster(SPREAD))


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1:9", "Connection refused"), ("127.0.0.1:gcs", "invalid literal"), ("head.invalid:6379", "")],
)
def test_an_address_without_a_cluster_is_told_at_once(monkeypatch: pytest.MonkeyPatch, address: str, said: str) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError, match=f"^here: no cluster can be joined: RAY_ADDRESS is '{address}', .*{said}"):
        Cluster("here").join()


def test_nothing_to_grade_joins_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    problems, drawn = tables(2)
    assert_frame_equal(
        verify_on_ray(problems, drawn.clear(), PARAMS, 2, Cluster(SPREAD)), pl.DataFrame(schema=OUTCOME.schema)
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two processors each, beside a head that works on nothing."""
    pytest.importorskip("ray", reason="Ray is not installed here: pip install -e '.[ray]'")
    with ray_head() as made:
        for _ in range(2):
            made.add_node(num_cpus=2)
        made.wait_for_nodes()
        yield made


def check(
    place: Path, spread: str, monkeypatch: pytest.MonkeyPatch, drawn: tuple[pl.DataFrame, pl.DataFrame]
) -> dict[str, str]:
    """Run the stage in `place`; returns the hashes of its table's files."""
    place.mkdir()
    monkeypatch.chdir(place)
    settings = "tables: {shard_digits: 0}\noutcome: {timeout_s: 1.0}\n"
    runtime = f"runtime: {{num_threads: 1, num_workers: 2, distributed: {spread}, device: cpu}}\n"
    Path("params.yaml").write_text(settings + runtime)
    for table, rows in zip((PROBLEM, SAMPLE), drawn, strict=True):
        Path(table.name).mkdir()
        ShardWriter(Path(table.name), table).write("all", rows)
    stage.verify_round(*(Path(name) for name in ("params.yaml", PROBLEM.name, SAMPLE.name, "out", "report.json")))
    return hash_folder(Path("out"))


def test_the_stage_writes_the_same_bytes_and_a_hostile_pair_costs_only_itself(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, drawn = tables(40)
    hostile = pl.col("sample_id") == "s021-0"
    drawn = drawn.with_columns(completion=pl.when(hostile).then(pl.lit(ENDLESS)).otherwise("completion"))
    here = check(tmp_path / "here", "null", monkeypatch, (problems, drawn))
    assert check(tmp_path / "there", "ray", monkeypatch, (problems, drawn)) == here
    found = pl.concat(pl.read_parquet(path) for path in (tmp_path / "there" / "out").rglob("*.parquet"))
    assert len(found) == 120
    assert found.filter(pl.col("is_correct").is_null())["sample_id"].to_list() == ["s021-0"]
    assert found["is_correct"].sum() == 39


class Doomed:
    """Works as `work` does, but on one node never ends its second task."""

    def __init__(self, work: Work, node: str, starts: Path) -> None:
        self._work = work
        self._node = node
        self._starts = starts

    def __call__(self, table: Any) -> Any:
        import ray

        node = ray.get_runtime_context().get_node_id()
        with self._starts.open("a") as file:
            file.write(f"{node} {table['row'][0]}\n")
        if node == self._node and self._starts.read_text().count(node) > 1:
            threading.Event().wait()
        return self._work(table)


def test_a_node_lost_at_work_changes_no_row(cluster: Any, tmp_path: Path) -> None:
    starts, doomed = tmp_path / "starts", cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()

    class Killing(Cluster):
        def map(self, tables: Sequence[Any], work: Work, processors: int) -> Iterator[Any]:
            graded = super().map(tables, Doomed(work, doomed.node_id, starts), processors)
            yield next(graded)
            wait_for_text(starts, doomed.node_id, times=2)
            cluster.remove_node(doomed, allow_graceful=False)
            yield from graded

    asked = tables(120)
    assert_frame_equal(verify_on_ray(*asked, PARAMS, 2, Killing(SPREAD)), verify_samples(*asked, PARAMS, 2))
    lines = [line.split() for line in starts.read_text().splitlines()]
    lost = [task for node, task in lines if node == doomed.node_id][-1]
    assert lost in [task for node, task in lines if node != doomed.node_id], "what it had in work was done again"


def test_more_processors_than_any_node_has_are_not_waited_for(cluster: Any) -> None:
    with pytest.raises(ClusterError, match=r"a task needs 64 processors of one node, but no node .* more than 2"):
        verify_on_ray(*tables(2), PARAMS, 64, Cluster(SPREAD))


def test_a_verifier_from_a_plugin_is_known_on_every_node(cluster: Any) -> None:
    import_plugins(["tests.support.length_verifier"])
    problems, drawn = tables(6)
    problems = problems.with_columns(task=pl.lit("length"))
    outcomes = verify_on_ray(problems, drawn, PARAMS, 2, Cluster(SPREAD))
    assert_frame_equal(outcomes, verify_samples(problems, drawn, PARAMS, 1), check_column_order=False)
    assert outcomes["verifier"].unique().to_list() == ["length 1"]
