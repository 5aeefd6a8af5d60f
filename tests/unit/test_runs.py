"""A run: what is logged, what is recorded, and what is shown of it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from stages.common import progress as progress_module
from stages.common.errors import UserError
from stages.common.logs import write_log
from stages.common.progress import Progress, progress
from stages.common.runs import (
    RUN_VARIABLE,
    format_facts,
    join_run,
    list_runs,
    name_run,
    read_records,
    record_facts,
    record_metrics,
    record_stage,
)
from tools.runs import find_run, format_run, format_runs

STAGE = """
import logging, os, sys, warnings
from pathlib import Path
from stages.common.console import run_stage
from stages.common.errors import UserError
from stages.common.progress import Progress
from stages.common.runs import record_facts, record_metrics

def train(recipe: Path) -> None:
    library = logging.getLogger("library.part")  # as transformers and vLLM do
    library.addHandler(logging.StreamHandler())
    library.propagate = False
    library.warning("a kernel is missing")
    warnings.warn("this will be removed", FutureWarning)
    with Progress("train M1", 4, "steps", lambda: "loss 0.5") as shown:
        for step in range(4):
            record_metrics(step + 1, {"loss": 0.5})
            shown.advance()
    record_facts(device="cpu", usage={"sample M1": {"cost": 1.5}})
    if os.environ.get("FAIL") == "user":
        raise UserError("params.yaml: train.beta: expected a number, found x; set one")
    if os.environ.get("FAIL") == "bug":
        raise RuntimeError("two is three")

from stages.common import progress
progress.SILENT_S = 0
run_stage(train)
"""
"""A stage that says all that stages say."""


def run_stage(place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (place / "params.yaml").write_text("seed: 1\n")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        RUN_VARIABLE: "one",
        "DVC_STAGE": "train@M1",
        **variables,
    }
    command = [sys.executable, "-c", STAGE, "--recipe", "params.yaml"]
    return subprocess.run(command, cwd=place, env=environment, text=True, capture_output=True, check=False)


def test_off_a_terminal_a_stage_says_what_it_does_and_its_run_keeps_all(tmp_path: Path) -> None:
    done = run_stage(tmp_path)
    folder = tmp_path / "work/runs/one"
    lines = [line.partition(" ")[2] for line in done.stdout.splitlines()]
    assert lines[0].startswith("train M1: 4 of 4 steps (100%) in 0.")
    assert lines[0].endswith("/s; loss 0.5")
    assert lines[1].startswith("train@M1: done in 0.")
    assert (len(lines), done.stderr, done.returncode) == (2, "", 0)
    log = (folder / "log.txt").read_text()
    for text in ("library.part: a kernel is missing", "FutureWarning: this will be removed", *lines):
        assert text in log
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(step["stage"], step["step"], step["loss"]) for step in steps] == [
        ("train@M1", at, 0.5) for at in (1, 2, 3, 4)
    ]
    [record] = read_records(folder)
    assert (record["stage"], record["status"], record["error"]) == ("train@M1", "done", None)
    assert record["facts"] == {"device": "cpu", "usage": {"sample M1": {"cost": 1.5}}}
    assert record["environment"]["packages"]["torch"]


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        ("user", "UserError: params.yaml: train.beta: expected a number, found x; set one"),
        ("bug", "RuntimeError: two is three"),
    ],
)
def test_a_reader_of_the_output_alone_sees_what_failed_and_where_the_log_is(
    tmp_path: Path, failure: str, cause: str
) -> None:
    done = run_stage(tmp_path, FAIL=failure)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert "train@M1: failed after 0." in last
    assert last.endswith(f"{cause}; log: work/runs/one/log.txt")
    assert "Traceback" in (tmp_path / "work/runs/one/log.txt").read_text()
    [record] = read_records(tmp_path / "work/runs/one")
    assert (record["status"], record["error"]) == ("failed", cause)


def test_quiet_and_verbose(tmp_path: Path) -> None:
    assert run_stage(tmp_path, STEPKTO_VERBOSITY="quiet").stdout == ""
    assert "a kernel is missing" in run_stage(tmp_path, STEPKTO_VERBOSITY="verbose").stdout


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file where the folder of runs should be")
    done = run_stage(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "work/runs/one/log.txt: cannot be written" in done.stderr
    assert done.stdout.count("this run's records cannot be written") == 1


def test_logging_is_as_before_when_a_stage_has_ended(tmp_path: Path) -> None:
    before = (logging.getLoggerClass(), [*logging.root.handlers], warnings.showwarning)
    with write_log(tmp_path, "train"):
        assert logging.getLoggerClass() is not before[0]
    assert (logging.getLoggerClass(), [*logging.root.handlers], warnings.showwarning) == before


def test_lines_come_by_the_minute_and_at_tenths_also_where_nothing_moves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_module, "POLL_S", 0.01)
    monkeypatch.setattr(progress_module, "TENTH_S", 0.0)
    caplog.set_level(logging.INFO)

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in caplog.text:
            assert time.monotonic() < deadline, caplog.text
            time.sleep(0.01)

    with Progress("sample M1", 100, "requests", lambda: "failed: 2 timeout") as shown:
        shown.skip(50)
        wait_for("sample M1: 50 of 100 requests (50%) in 0.")
        assert "50 made before; failed: 2 timeout" in caplog.text
        shown.advance(10)
        wait_for("sample M1: 60 of 100 requests (60%) in ")
        assert " left, 50 made before" in caplog.messages[-1]
        caplog.clear()
        monkeypatch.setattr(progress_module, "LINE_S", 0.0)
        wait_for("sample M1: 60 of 100 requests (60%) in ")
    assert list(progress(iter("ab"), "verify")) == ["a", "b"]


def test_a_run_is_named_by_the_environment_or_the_program_that_started_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "mine")
    assert join_run().name == "mine"
    monkeypatch.delenv(RUN_VARIABLE)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert join_run().name == name_run(psutil.Process())
    program = tmp_path / "dvc"
    program.write_text("import subprocess, sys; [subprocess.run([sys.executable, *sys.argv[1:]]) for _ in range(2)]")
    stage = "from stages.common.runs import join_run; print(join_run().name)"
    command = [sys.executable, str(program), "-c", stage]
    environment = {**os.environ, "DVC_STAGE": "sample@M1", "PYTHONPATH": str(Path.cwd())}
    names = subprocess.run(command, env=environment, text=True, capture_output=True, check=True).stdout.split()
    assert len(names) == 2
    assert len(set(names)) == 1, "stages of one dvc are one run"
    assert names[0] != join_run().name


def test_facts_are_merged_and_go_nowhere_without_a_stage(tmp_path: Path) -> None:
    record_facts(device="cpu")
    record_metrics(1, {"loss": 1.0})
    with record_stage(tmp_path, "evaluate@M1") as record:
        record_metrics(1, {"loss": float("nan")})
        record_facts(seconds={"greedy": 1.5})
        record_facts(seconds={"majority": 2.5}, device="cpu")
    assert record.facts == {"seconds": {"greedy": 1.5, "majority": 2.5}, "device": "cpu"}
    assert format_facts(record.facts) == "seconds (greedy 1.5, majority 2.5), device cpu"
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] is None
    assert format_facts({"completions": 4000, "cost": None, "from_journal": 0}) == "completions 4,000"


def write_record(folder: Path, stage: str, **changes: Any) -> None:
    with record_stage(folder, stage):
        record_facts(usage={"sample M1": {"completions": 40, "cost": 1.25, "currency": "USD"}})
    path = folder / "stages" / f"{stage}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 61.0} | changes))


def test_runs_are_listed_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("work/runs")
    write_record(root / "20260101-000000-1", "sample@M1")
    write_record(root / "20260102-000000-1", "sample@M1")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_record(root / "20260102-000000-1", "train@M1", status="running", process=gone.pid)
    assert [folder.name for folder in list_runs()] == ["20260101-000000-1", "20260102-000000-1"]
    assert list(format_runs()) == [
        "20260101-000000-1    1 stages done in 1 min 01 s",
        "20260102-000000-1    1 stages done in 1 min 01 s, train@M1 killed",
    ]
    shown = list(format_run(find_run("last")))
    assert shown[:3] == [
        f"{'sample@M1':20}    1 min 01 s  done",
        "    sample M1: completions 40, cost 1.25, currency USD",
        f"{'train@M1':20}             -  killed",
    ]
    assert shown[-1] == "log: work/runs/20260102-000000-1/log.txt"
    assert find_run("20260101").name == "20260101-000000-1"
    with pytest.raises(UserError, match="2026: 2 runs have this name"):
        find_run("2026")
