"""What a stage shows: progress on a terminal, one clear line for an error that the user can fix."""

from __future__ import annotations

import argparse
import ctypes
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages.common.plugins import load_plugins

T = TypeVar("T")


def progress(items: Iterable[T], desc: str, total: int | None = None, unit: str = "rows") -> Iterator[T]:
    """`items` with a progress bar on a terminal, silent elsewhere."""
    return iter(tqdm(items, desc=desc, total=total, unit=unit, disable=None, mininterval=0.5, leave=False))


def run(main: Callable[[], None]) -> None:
    """Run a command's `main`: an error in what the user gave exits with its message, a bug with a traceback."""
    _die_with_parent()
    try:
        main()
    except (ValueError, FileNotFoundError, NotADirectoryError, BlockingIOError) as error:
        if os.environ.get("STEPKTO_TRACEBACK"):
            raise
        sys.exit(f"{type(error).__name__}: {error}")


def run_stage(stage: Callable[..., None], words: list[str] | None = None) -> None:
    """Run the function that does a stage's work, as `run` does; each of its parameters, all paths, is an option.

    ``def sample(recipe: Path, problems: Path, out: Path) -> None`` is called with ``--recipe``, ``--problems`` and
    ``--out``, all required, after the plugins of the recipe are loaded. `words` are the command line's by default.
    """

    def main() -> None:
        spec = sys.modules["__main__"].__spec__
        prog = f"python -m {spec.parent}" if spec and spec.parent else None
        parser = argparse.ArgumentParser(prog=prog, description=inspect.getdoc(stage))
        for name in inspect.signature(stage).parameters:
            parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
        options = vars(parser.parse_args(words))
        load_plugins(options["recipe"])
        stage(**options)

    run(main)


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies, so that a killed dvc leaves no second copy running."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() == 1 and os.environ.get("DVC_STAGE"):
            sys.exit("the process that started this stage has ended")
