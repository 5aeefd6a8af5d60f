"""Running the tasks of a verification in several processes."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import polars as pl

from stages.common.plugins import load_plugins
from stages.common.progress import progress
from tools.audit.check_results import CheckResults
from tools.audit.verify.dataset_checks import SelectedRows


@dataclass
class TaskResult:
    """Result of one task; `selected` and `digests` belong to the dataset of round `round_name`."""

    results: CheckResults
    round_name: str = ""
    selected: SelectedRows | None = None
    digests: tuple[str, pl.DataFrame] | None = None
    """Name and row digests of a dataset's file."""
    is_complete: bool = True
    """Whether all rows could be read; else the round's dataset cannot be compared."""


Task = Callable[[], TaskResult]


def run_tasks(tasks: list[Task], num_workers: int, recipe: Path) -> Iterator[TaskResult]:
    """Results in the order of `tasks`, so that the rows named first are the same in every run.

    `recipe` names the plugins that every process loads.
    """
    if num_workers == 1 or len(tasks) < 2:
        for task in progress(tasks, "verify", unit="tasks"):
            yield task()
        return
    context = multiprocessing.get_context("spawn")  # Polars' threads do not survive a fork
    with (
        _use_one_polars_thread(),
        ProcessPoolExecutor(num_workers, mp_context=context, initializer=_start_worker, initargs=(recipe,)) as pool,
    ):
        yield from progress(pool.map(_run_task, tasks), "verify", total=len(tasks), unit="tasks")


def _run_task(task: Task) -> TaskResult:
    return task()


@contextmanager
def _use_one_polars_thread() -> Iterator[None]:
    """Processes started within use one Polars thread each: there are as many processes as cores."""
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


def _start_worker(recipe: Path) -> None:
    """Load plugins, and end this process when its parent is gone: it would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    load_plugins(recipe)
