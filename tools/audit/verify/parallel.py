"""Pieces of work: what one finds, and several processes that do them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait

import polars as pl

from stages.common.console import progress
from tools.audit.check_results import CheckResults
from tools.audit.verify.dataset_checks import Selected


@dataclass
class Piece:
    """What one piece of work found; `selected` and `digests` belong to the data set of round `part`."""

    findings: CheckResults
    part: str = ""
    selected: Selected | None = None
    digests: tuple[str, pl.DataFrame] | None = None
    whole: bool = True
    """Whether the piece could be looked at; else its round's data set cannot be compared."""


Job = Callable[[], Piece]


def run_jobs(jobs: list[Job], workers: int) -> Iterator[Piece]:
    """Results in the order of `jobs`, so that the rows named first are the same in every run."""
    if workers == 1 or len(jobs) < 2:
        for job in progress(jobs, "verify", unit="pieces"):
            yield job()
        return
    with (
        _one_polars_thread(),
        ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
        ) as pool,
    ):  # spawned, since Polars' threads do not survive a fork
        yield from progress(pool.map(_call, jobs), "verify", total=len(jobs), unit="pieces")


def _call(job: Job) -> Piece:
    return job()


@contextmanager
def _one_polars_thread() -> Iterator[None]:
    """Processes started within use one thread for Polars each: there are as many processes as cores."""
    name = "POLARS_MAX_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _end_with_parent() -> None:
    """End this process when its parent is gone: a pool's process would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
