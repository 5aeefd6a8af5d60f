"""The verifier's processes: their pool recovers from whatever ends them, and finds the pair that did."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from stages.common.verifiers import verify_answers
from stages.common.verifiers.math.process.process_pool import ProcessPool

SLOW = r"\sum_{i=1}^{999}\sum_{j=1}^{999}\sum_{k=1}^{999}\sqrt{i j k}"
FRAGILE = "tests.support.fragile_compare:load"


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    with closing(ProcessPool(FRAGILE, 2, 5.0)) as made:
        yield made


def test_a_pair_that_kills_its_process_costs_no_other(pool: ProcessPool) -> None:
    fatal = {17, 18, 200}
    pending = [pool.submit(str(row), "KILL" if row in fatal else str(row)) for row in range(300)]
    decisions = [pool.wait(one) for one in pending]
    assert {row for row, decision in enumerate(decisions) if decision[0] is None} == fatal
    assert {decisions[row][1] for row in fatal} == {"the verifier process died"}
    assert all(decision[0] for row, decision in enumerate(decisions) if row not in fatal)


def server() -> int:
    """The one child of this process that verifier processes are copied from."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            command = status.with_name("cmdline").read_bytes()
            if b"process.forkserver" in command and f"PPid:\t{os.getpid()}\n" in status.read_text():
                return int(status.parent.name)
    raise AssertionError("no server")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are seen in /proc only")
def test_the_pool_recovers_from_the_end_of_all_its_processes() -> None:
    pairs = [("x", f"x+{number}-{number}") for number in range(40)]
    verdicts = verify_answers(pairs, num_workers=2)
    assert next(verdicts).is_correct is True
    os.kill(server(), signal.SIGKILL)
    assert [verdict.is_correct for verdict in verdicts] == [True] * 39


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are seen in /proc only")
def test_a_server_that_died_unnoticed_takes_no_pair_with_it(pool: ProcessPool) -> None:
    assert pool.wait(pool.submit("1", "1")) == (True, "compared")
    os.kill(server(), signal.SIGKILL)
    assert pool._server is not None
    pool._server.wait()
    assert pool.wait(pool.submit("2", "2")) == (True, "compared")
    assert pool.wait(pool.submit("3", "4")) == (False, "compared")


@pytest.mark.parametrize("num_workers", [1, 4])
def test_verdicts_do_not_depend_on_the_number_of_workers(num_workers: int) -> None:
    pairs = [(r"\sqrt{2}", text) for text in (r"2^{1/2}", r"\sqrt{3}", SLOW, r"\frac{2}{\sqrt{2}}", "1.5")]
    verdicts = verify_answers(pairs, num_workers=num_workers, timeout_s=2.0)
    assert [verdict.is_correct for verdict in verdicts] == [True, False, None, True, False]
