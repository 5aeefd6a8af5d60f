"""What a stage shows: progress where a person watches, one clear line where something is wrong."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, total: int | None = None, unit: str = "rows") -> Iterator[T]:
    """`items` with a progress bar on a terminal, silent elsewhere."""
    return iter(tqdm(items, desc=label, total=total, unit=unit, disable=None, mininterval=0.5, leave=False))


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies, so that a killed dvc leaves no second copy running."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() == 1 and os.environ.get("DVC_STAGE"):
            sys.exit("the process that started this stage is gone")


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`: faults in what the user gave end in their message and exit code 1, bugs in a traceback."""
    _die_with_parent()
    try:
        main()
    except (ValueError, FileNotFoundError, NotADirectoryError, BlockingIOError) as error:
        if os.environ.get("STEPKTO_TRACEBACK"):
            raise
        sys.exit(f"{type(error).__name__}: {error}")
