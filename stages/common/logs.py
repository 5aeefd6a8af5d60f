"""Where a stage's words go: its own to the terminal or the output, and with those of all libraries to the run's log."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.common.runs import LOG

VERBOSITY_VARIABLE = "STEPKTO_VERBOSITY"
"""Environment variable: `QUIET` shows errors alone, `VERBOSE` everything, libraries' warnings too."""

QUIET, VERBOSE = "quiet", "verbose"

OWN = "stages"
"""The logger above those of all stages."""

_CONSOLE_FORMAT = "%(asctime)s %(message)s"
_FILE_FORMAT = "%(asctime)s {stage} %(levelname)s %(name)s: %(message)s"


def is_quiet() -> bool:
    """Whether only errors are to be shown."""
    return os.environ.get(VERBOSITY_VARIABLE) == QUIET


def has_bars() -> bool:
    """Whether progress is shown as bars: on a terminal that may be written to."""
    return sys.stderr.isatty() and not is_quiet()


class LibraryLogger(logging.Logger):
    """A library's logger: its records go to the run's log, and not to the terminal by handlers of its own."""

    @property
    def propagate(self) -> bool:
        """Always true."""
        return True

    @propagate.setter
    def propagate(self, _value: bool) -> None:
        """Libraries set it to false where they add a handler."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - logging's name
        """Add `hdlr` unless it writes to the terminal."""
        if not isinstance(hdlr, logging.StreamHandler) or isinstance(hdlr, logging.FileHandler):
            super().addHandler(hdlr)


@contextmanager
def write_log(folder: Path, stage: str, has_console: bool = True) -> Iterator[None]:
    """Log what runs inside to ``log.txt`` in the run's `folder`, and its own lines to standard output.

    On a terminal with bars, only warnings are shown. Loggers of libraries that are imported inside show nothing:
    their warnings are in the file, and Python's too. Where the file cannot be written, warnings are shown.
    """
    verbosity = os.environ.get(VERBOSITY_VARIABLE)
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(logging.Formatter(_CONSOLE_FORMAT, "%H:%M:%S"))
    console.setLevel(_choose_level(verbosity))
    handlers: list[logging.Handler] = [console] if has_console else []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(folder / LOG, encoding="utf-8")
        file.setFormatter(logging.Formatter(_FILE_FORMAT.format(stage=stage)))
        handlers.append(file)
        if verbosity != VERBOSE:
            console.addFilter(logging.Filter(OWN))
    except OSError as error:
        print(f"{folder / LOG}: cannot be written: {error.strerror}", file=sys.stderr)
    own, before = logging.getLogger(OWN), logging.getLoggerClass()
    for handler in handlers:
        logging.root.addHandler(handler)
    own.setLevel(logging.DEBUG)
    logging.setLoggerClass(LibraryLogger)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.setLoggerClass(before)
        own.setLevel(logging.NOTSET)
        for handler in handlers:
            logging.root.removeHandler(handler)
            handler.close()


def _choose_level(verbosity: str | None) -> int:
    if verbosity == QUIET:
        return logging.ERROR
    if verbosity == VERBOSE:
        return logging.DEBUG
    return logging.WARNING if sys.stdout.isatty() and has_bars() else logging.INFO
