"""What a stage shows: progress on a terminal, one line for an error that the user can fix, a traceback for a bug."""

from __future__ import annotations

import argparse
import ctypes
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from tqdm import tqdm

from stages.common.errors import UserError, explain_system_error
from stages.common.lock_copy import keep_lock_copy
from stages.common.plugins import load_plugins

T = TypeVar("T")

BUG_LINE = (
    "This is a bug, not a mistake of yours. Please report it with the lines above: see CONTRIBUTING.md, Report a bug."
)


def progress(items: Iterable[T], desc: str, total: int | None = None, unit: str = "rows") -> Iterator[T]:
    """`items` with a progress bar on a terminal, silent elsewhere."""
    return iter(tqdm(items, desc=desc, total=total, unit=unit, disable=None, mininterval=0.5, leave=False))


def run(main: Callable[[], None]) -> None:
    """Run a command's `main`: what the user can fix ends in one line, ``error: ...``, and a bug in its traceback.

    With STEPKTO_TRACEBACK set, the line of a `UserError` follows its traceback too.
    """
    die_with_parent()
    try:
        main()
    except UserError as error:
        _exit(str(error), error.exit_code)
    except BrokenPipeError:  # such as `| head`: whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        _exit("interrupted; what is finished is kept: run the same command again to continue", 130)
    except Exception as error:  # noqa: BLE001 - the end of every command
        line = explain_system_error(error)
        if line is not None:
            _exit(line, 1)
        traceback.print_exc()
        sys.exit(BUG_LINE)


def _exit(message: str, code: int) -> NoReturn:
    if os.environ.get("STEPKTO_TRACEBACK"):
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


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
        keep_lock_copy()
        load_plugins(options["recipe"])
        stage(**options)

    run(main)


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies, so that a killed dvc leaves no second copy running."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() == 1 and os.environ.get("DVC_STAGE"):
            sys.exit("the process that started this stage has ended")
