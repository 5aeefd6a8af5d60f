"""How a command ends: one line for an error that the user can fix, a traceback for a bug. A stage is part of a run."""

import argparse
import ctypes
import inspect
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from stages.common.errors import UserError, describe_error, explain_system_error
from stages.common.lock_copy import keep_lock_copy
from stages.common.logs import write_log
from stages.common.plugins import load_plugins
from stages.common.progress import format_duration
from stages.common.runs import LOG, join_run, record_stage

logger = logging.getLogger(__name__)

BUG_LINE = (
    "This is a bug, not a mistake of yours. Please report it with the lines above: see CONTRIBUTING.md, Report a bug."
)


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
    What it says goes to its run's log, and what `record_facts` takes to the run's record of the stage.
    """

    def main() -> None:
        spec = sys.modules["__main__"].__spec__
        prog = f"python -m {spec.parent}" if spec and spec.parent else None
        parser = argparse.ArgumentParser(prog=prog, description=inspect.getdoc(stage))
        for name in inspect.signature(stage).parameters:
            parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
        options = vars(parser.parse_args(words))
        name = spec.parent.rpartition(".")[2] if spec and spec.parent else stage.__name__
        with _follow_stage(os.environ.get("DVC_STAGE", name)):
            keep_lock_copy()
            load_plugins(options["recipe"])
            stage(**options)

    run(main)


@contextmanager
def _follow_stage(name: str) -> Iterator[None]:
    """Log and record what runs inside as stage `name` of a run; of several processes the first one alone speaks."""
    folder = join_run()
    rank = os.environ.get("RANK", os.environ.get("MACHINE_RANK", "0"))
    if rank != "0":
        with write_log(folder, f"{name} process {rank}", has_console=False):
            yield
        return
    with write_log(folder, name), record_stage(folder, name) as record:
        try:
            yield
        except BaseException as error:
            cause = f"{type(error).__name__}: {describe_error(error)}"
            logger.info("%s: failed after %s: %s; log: %s", name, format_duration(record.seconds), cause, folder / LOG)
            logger.debug("%s", name, exc_info=True)
            raise
        logger.info("%s: done in %s", name, format_duration(record.seconds))


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies, so that a killed dvc leaves no second copy running."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() == 1 and os.environ.get("DVC_STAGE"):
            sys.exit("the process that started this stage has ended")
