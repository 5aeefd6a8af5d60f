"""The pool of grading processes: it recovers from whatever ends them, and finds what did."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from stages.outcome import child, grade_many, pool
from stages.outcome.processes import Processes
from stages.outcome.worker import Chunk, Job, Reply


class Fragile:
    """A worker that dies of an entry with the word KILL."""

    with_algebra = False
    seconds = 0.0
    deadline = 1e8
    read_chunks: list[int]

    def __init__(self, processes: Processes, timeout_s: float) -> None:
        self.fileno, self._wake = os.pipe()
        self.job: Job | None = None
        self.ahead: Chunk | None = None

    def give_ahead(self, chunk: Chunk) -> bool:
        return False

    def give(self, job: Job) -> None:
        self.job = job
        os.write(self._wake, b"!")

    def read(self) -> list[tuple[Job, Reply]]:
        os.read(self.fileno, 1)
        assert isinstance(self.job, Chunk)
        entries = [tuple(entry) for entry in self.job.entries]
        if any("KILL" in entry[1] for entry in entries):
            raise EOFError
        self.read_chunks.append(len(entries))
        job, self.job = self.job, None
        return [(job, Reply(json.loads(json.dumps(child._readings(entries))), 0.0))]

    def kill(self) -> None:
        os.close(self.fileno)
        os.close(self._wake)


def test_a_batch_that_kills_is_halved_down_to_what_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Worker", Fragile)
    monkeypatch.setattr(Fragile, "read_chunks", [], raising=False)
    fatal = {17, 18, 200}
    pairs = [(str(row), rf"\boxed{{{row}}}" + "KILL" * (row in fatal)) for row in range(300)]
    verdicts = list(grade_many(pairs, workers=2))
    assert {row for row, verdict in enumerate(verdicts) if verdict.value is None} == fatal
    assert {verdicts[row].reason for row in fatal} == {"the grading process died of it"}
    assert all(verdict.value for row, verdict in enumerate(verdicts) if row not in fatal)
    assert max(Fragile.read_chunks) > 40  # halved, and not taken apart


def nursery() -> int:
    """The one child of this process that grading processes are copied from."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            command = status.with_name("cmdline").read_bytes()
            if b"stages.outcome.nursery" in command and f"PPid:\t{os.getpid()}\n" in status.read_text():
                return int(status.parent.name)
    raise AssertionError("no nursery")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are seen in /proc only")
def test_the_pool_recovers_from_the_end_of_all_its_processes() -> None:
    pairs = [("x", f"x+{number}-{number}") for number in range(40)]
    verdicts = grade_many(pairs, workers=2)
    assert next(verdicts).value is True
    os.kill(nursery(), signal.SIGKILL)
    assert [verdict.value for verdict in verdicts] == [True] * 39


def first_line(descriptor: int) -> bytes:
    """What a process says first; nothing where none says anything for long."""
    readable, _, _ = select.select([descriptor], [], [], 60.0)
    return os.read(descriptor, 100).strip() if readable else b""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are seen in /proc only")
def test_a_nursery_that_is_dead_and_not_seen_to_be_takes_no_pair_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(64 << 20)
    ends = [os.pipe(), os.pipe()]
    processes.start(ends[0][0], ends[1][1])
    assert first_line(ends[1][0]).isdigit()
    os.kill(nursery(), signal.SIGKILL)
    assert processes._nursery is not None
    processes._nursery.wait()
    monkeypatch.setattr(processes._nursery, "poll", lambda: None)
    again = [os.pipe(), os.pipe()]
    processes.start(again[0][0], again[1][1])
    assert first_line(again[1][0]).isdigit()
    processes.close()
    for end in (*ends, *again):
        for descriptor in end:
            os.close(descriptor)
