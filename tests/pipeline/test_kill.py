"""Long stages killed with SIGKILL at several moments: run again, they give the bytes of an uninterrupted run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.clones import read_record

pytestmark = pytest.mark.slow

STAGES = ["seed_model", "sample@M1", "train@M1", "evaluate@M1"]
JOURNALED = {"sample@M1", "evaluate@M1"}
START_UP = 0.5
"""Seconds before a stage can have begun to work: every moment of a kill lies after them."""


@pytest.fixture(scope="module")
def place(smoke_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("kill") / "clone"
    shutil.copytree(smoke_made, target, symlinks=True)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def start(place: Path, command: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = command.replace("python", sys.executable, 1).split()
    return subprocess.Popen(program, cwd=place, env=environment, start_new_session=True)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill the process and its children after `seconds`; whether it was still at work."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def forget(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_twice_and_run_again(place: Path, smoke_made: Path, stage: str) -> None:
    lock: dict[str, Any] = yaml.safe_load((place / "dvc.lock").read_text(encoding="utf-8"))["stages"][stage]
    out, report = (place / entry["path"] for entry in lock["outs"][::-1])
    if out.suffix:
        out, report = report, out
    expected = contents(out)
    assert expected
    whole, seconds = report.read_bytes(), read_record(smoke_made, stage)["seconds"]

    def kill_at_work(seconds: float) -> None:
        """A stage may be done sooner than its earlier run was: then from nothing again, killed in half the time."""
        forget(out, place / "work")
        while not kill_after(start(place, lock["cmd"]), seconds):
            forget(out, place / "work")
            seconds /= 2

    kill_at_work(0.4 * seconds + START_UP)
    kill_after(start(place, lock["cmd"]), 0.7 * seconds + START_UP)
    if out.exists():
        assert contents(out) == expected, "what is there is complete"
    assert start(place, lock["cmd"]).wait() == 0
    assert contents(out) == expected
    if stage in JOURNALED:
        kept = sum(path.stat().st_size for path in (place / "work/journal").rglob("*.jsonl"))
        forget(out, place / "work")
        assert start(place, lock["cmd"]).wait() == 0
        assert kept == sum(path.stat().st_size for path in (place / "work/journal").rglob("*.jsonl")), "drawn twice"
    assert report.read_bytes() == whole
