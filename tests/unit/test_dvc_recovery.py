"""What a kill or a full disk leaves of DVC's own files is mended before the next run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from stages.code import describe_code, list_changed_libraries
from stages.common.console import die_with_parent
from stages.common.errors import UserError
from stages.common.lock_copy import LOCK_COPY, keep_lock_copy
from tools import repro
from tools.dvc_lock import read_lock
from tools.dvc_recovery import is_valid_lock, prepare_repro, restore_lock

NUM_LINES = 90


def read_first_stages() -> str:
    """Stages of the reference run's lock, as DVC itself wrote them; all of them take ten times as long to read."""
    lines = Path("dvc.lock").read_text(encoding="utf-8").splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if number > NUM_LINES and line[:3].strip())
    return "".join(lines[:end])


TEXT = read_first_stages()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "dvc.lock").write_text(TEXT, encoding="utf-8")
    (tmp_path / LOCK_COPY).parent.mkdir()
    (tmp_path / LOCK_COPY).write_text(TEXT, encoding="utf-8")
    return tmp_path


def cut_points() -> list[int]:
    """0, the first bytes, and of stages in the file each kind of line: its beginning, its middle, its end."""
    points, offset, kinds = {0, 1, 5, 9, 14}, 0, set()
    for line in TEXT.splitlines(keepends=True):
        kind = line.split(":")[0]
        if kind not in kinds:
            points |= {offset, offset + len(line) // 2, offset + len(line) - 1, offset + len(line)}
        kinds.add(kind)
        offset += len(line)
    return sorted(points)


def test_torn_at_any_byte_dvc_can_read_it_again(place: Path) -> None:
    num_restored = 0
    for point in cut_points():
        (place / "dvc.lock").write_text(TEXT[:point], encoding="utf-8")
        line = restore_lock(place)
        now = (place / "dvc.lock").read_text(encoding="utf-8")
        assert is_valid_lock(now), point
        if line:
            assert "restored from its last valid copy" in line
            assert now == TEXT
            num_restored += 1
        else:  # cut after a whole entry: DVC's run-cache has the rest
            assert now == TEXT[:point]
            (place / LOCK_COPY).write_text(TEXT, encoding="utf-8")
    assert num_restored > 20


def write_as_dvc_does(path: Path) -> None:
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(path) as data:
        data["stages"]["params"]["cmd"] += " "


def test_killed_at_every_5_ms_of_the_write(place: Path) -> None:
    write_as_dvc_does(place / "dvc.lock")  # imported before the clock runs
    num_torn = 0
    for milliseconds in range(0, 1000, 5):
        (place / "dvc.lock").write_text(TEXT, encoding="utf-8")
        (place / LOCK_COPY).write_text(TEXT, encoding="utf-8")
        child = os.fork()
        if not child:
            write_as_dvc_does(place / "dvc.lock")
            os._exit(0)
        while (place / "dvc.lock").stat().st_size == len(TEXT.encode()) and not os.waitid(
            os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.0005)
        time.sleep(milliseconds / 1000)
        os.kill(child, signal.SIGKILL)
        is_done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        num_torn += restore_lock(place) is not None
        read_lock(place)
        if is_done:
            break
    else:
        pytest.fail("DVC writes for more than a second")
    assert num_torn


def test_without_a_copy_the_committed_lock_is_used_and_else_none(place: Path) -> None:
    (place / LOCK_COPY).unlink()
    (place / "dvc.lock").write_text("", encoding="utf-8")
    assert "removed" in str(restore_lock(place))
    assert not (place / "dvc.lock").exists()
    assert restore_lock(place) is None, "a missing one is not made up"
    (place / "dvc.lock").write_text(TEXT, encoding="utf-8")
    for words in (
        ["init", "-q"],
        ["add", "dvc.lock"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"],
    ):
        subprocess.run(["git", *words], cwd=place, check=True)
    (place / "dvc.lock").write_text("schema: '2.", encoding="utf-8")
    assert "committed" in str(restore_lock(place))
    assert (place / "dvc.lock").read_text(encoding="utf-8") == TEXT


def test_conflicts_of_a_merge_are_left_to_the_user(place: Path) -> None:
    conflict = f"<<<<<<< HEAD\n{TEXT}=======\n{TEXT}>>>>>>> other\n"
    (place / "dvc.lock").write_text(conflict, encoding="utf-8")
    with pytest.raises(UserError, match="conflicts of a merge; choose a side"):
        restore_lock(place)
    assert (place / "dvc.lock").read_text(encoding="utf-8") == conflict


def test_a_stage_keeps_the_copy_under_dvc_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock, copy = tmp_path / "dvc.lock", tmp_path / LOCK_COPY
    lock.write_text(TEXT, encoding="utf-8")
    keep_lock_copy(tmp_path)
    assert not copy.exists()
    monkeypatch.setenv("DVC_STAGE", "split@M1")
    keep_lock_copy(tmp_path)
    assert copy.read_text(encoding="utf-8") == TEXT
    for damaged in ("", "schema: '2."):
        lock.write_text(damaged, encoding="utf-8")
        keep_lock_copy(tmp_path)
        assert copy.read_text(encoding="utf-8") == TEXT, "a torn lock never replaces a whole one"
    assert "work/dvc.lock.copy: not written" in caplog.text
    caplog.clear()
    lock.unlink()
    keep_lock_copy(tmp_path)
    assert not caplog.records, "a lock that is not there yet"


def test_a_torn_or_stale_list_of_users_is_removed(place: Path) -> None:
    users = place / ".dvc/tmp/rwlock"
    users.parent.mkdir(parents=True)
    users.with_name("rwlock.lock").touch()
    users.write_text('{"write": {"data/x": {"pi', encoding="utf-8")
    assert any("rwlock was torn" in line for line in prepare_repro(place))
    assert not users.exists()
    here = {"pid": os.getpid(), "cmd": "dvc repro"}
    users.write_text(json.dumps({"write": {"data/x": here}, "read": {"data/y": [here]}}), encoding="utf-8")
    prepare_repro(place)
    assert not users.exists(), "this process has the number of a DVC that is gone"
    other = subprocess.Popen(["/path/to/dvc", "60"], executable="/bin/sleep")
    try:
        text = json.dumps({"write": {"data/x": {"pid": other.pid, "cmd": "dvc repro"}}, "read": {}})
        users.write_text(text, encoding="utf-8")
        prepare_repro(place)
        assert users.read_text(encoding="utf-8") == text, "a DVC at work keeps its files"
    finally:
        other.kill()
        other.wait()


def test_an_upgraded_library_runs_stage_code_again(place: Path) -> None:
    texts = describe_code([])
    assert not list_changed_libraries(texts.values())
    folder = place / "reports/code"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text(texts["train"], encoding="utf-8")
    assert not prepare_repro(place)
    (folder / "train.txt").write_text(texts["train"].replace("\ntorch ", "\ntorch 1."), encoding="utf-8")
    (line,) = prepare_repro(place)
    assert line.startswith("libraries changed: torch 1.")
    assert not (folder / "train.txt").exists()


def test_dvc_waits_for_another_and_ends_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def record(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append((command, options))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "prepare_repro", list)
    monkeypatch.setattr(repro.subprocess, "run", record)
    assert repro.run_repro(["train@M1"], None, Path("params.yaml"), Path("reports")) == 3
    ((command, options),) = calls
    assert command[1:] == ["-m", "dvc", "--wait-for-lock", "repro", "train@M1"], "DVC's own order: flag, then command"
    assert options["preexec_fn"] is die_with_parent
    assert options["env"]["SHELL"] == "/bin/bash", "a shell that stays between DVC and stage would hide DVC's end"


def test_entries_that_dvc_would_roll_back_are_committed() -> None:
    lines = Path(".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/data/*", "/models/*", "/work/"} <= set(lines)
