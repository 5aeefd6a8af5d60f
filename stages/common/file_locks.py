"""Locks by `flock`: held by one process at a time, on one machine, and released however it ends."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)


def lock_file(file: IO[Any], holder: str) -> None:
    """Lock the open `file` until it is closed; while `holder`, another process, has it, wait and say so."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("%s; waiting for it", holder)
        fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def hold_lock(folder: Path, holder: str) -> Iterator[None]:
    """Hold `folder` by a lock file beside it, so that the folder may be deleted while it is held."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "a") as file:
        lock_file(file, f"{folder}: {holder}")
        yield
