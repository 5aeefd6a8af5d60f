"""How property tests run, and a run of the smoke recipe that several test modules look at."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from stages.common.provenance import compute_sha256
from stages.common.toy_arithmetic import make_problems
from stages.common.verifiers import VERIFIERS
from tests.support.clones import clone, commit, edit, run

# Machines are shared and slow, so neither speed of an example nor of drawing it is judged.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


LONGEST = (
    "pipeline/test_audit.py",
    "unit/test_user_mistakes.py",
    "pipeline/test_plan.py",
    "pipeline/test_audit_show.py",
    "unit/test_train_run.py",
    "unit/test_train_options.py",
    "unit/test_outcome_hostile.py",
    "unit/test_judge_served.py",
    "unit/test_outcome.py",
)
"""Files that begin first, so that none of them is left to one process at the end while the other one has nothing to do.

The first one makes the smoke recipe's run for all; the second one does not wait for it.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put `LONGEST` first, in all processes alike, and leave the order otherwise."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session")
def smoke_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the smoke recipe, with a benchmark, has run and been committed: made once, to be copied only."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    made = shared / "smoke-made"
    with (shared / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes first runs it for all
        if not made.exists():
            _make_smoke(shared / "smoke-making")
            (shared / "smoke-making").replace(made)
    return made


@pytest.fixture(scope="session")
def smoke(smoke_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The caller's own copy of it."""
    mine = tmp_path_factory.mktemp("smoke") / "clone"
    shutil.copytree(smoke_made, mine, symlinks=True)
    return mine


def _make_smoke(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    clone(place, "smoke")
    benchmark = place / "benchmark.jsonl"
    verifier = VERIFIERS.get("math")()
    with benchmark.open("w", encoding="utf-8") as lines:
        for row in make_problems("test", 3, seed=99):
            answer = verifier.extract(row["solution"])
            assert answer is not None
            lines.write(json.dumps({"problem": row["problem"], "answer": answer.text}) + "\n")
    file = {"path": benchmark.name, "sha256": compute_sha256(benchmark)}
    edit(place, "evaluate", "benchmarks", {"three": {"hub": None, "file": file}})
    run(place, "dvc", "repro")
    commit(place, "run")
