"""Progress of work: a bar on a terminal, lines in the log."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

from stages.common.logs import has_bars

T = TypeVar("T")

POLL_S = 1.0
"""How often it is looked whether a line is due."""

LINE_S = 60.0
"""Longest time without a line."""

TENTH_S = 5.0
"""Shortest time between two lines of which the second is for a further tenth of the work."""

SILENT_S = 1.0
"""Work that takes less has no line, unless it has a note."""

logger = logging.getLogger(__name__)


class Progress:
    """Work under way: a bar on a terminal, and lines in the log, each minute, at each tenth of the work and at its end.

    `total` is the number of `unit`, None if unknown; `note` says what else is worth knowing, such as tokens or a loss.
    A context manager. `note` is called from another thread, too.
    """

    def __init__(
        self, desc: str, total: int | None = None, unit: str = "rows", note: Callable[[], str] | None = None
    ) -> None:
        self._desc, self._total, self._unit, self._note = desc, total, unit, note
        self._done = self._num_skipped = 0
        self._start = time.monotonic()
        self._bar = tqdm(desc=desc, total=total, unit=unit, disable=not has_bars(), mininterval=0.5, leave=False)
        self._is_closed = threading.Event()
        threading.Thread(target=self._log_lines, name=f"progress of {desc}", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Log the last line, and show no more."""
        self._is_closed.set()
        self._bar.close()
        if self._note is not None or time.monotonic() - self._start >= SILENT_S:
            logger.info("%s", self._describe())

    def advance(self, count: int = 1) -> None:
        """Count `count` more as done, and show it from time to time."""
        self._done += count
        if not self._bar.disable:
            if self._note is not None:
                self._bar.set_postfix_str(self._note(), refresh=False)
            self._bar.update(count)

    def skip(self, count: int = 1) -> None:
        """Count `count` that an earlier run had done: they have no part in the rate."""
        self._done += count
        self._num_skipped += count
        self._bar.update(count)

    def _log_lines(self) -> None:
        """Log until the end, also where no item comes: a thread of its own."""
        last_line, last_tenths = self._start, 0
        while not self._is_closed.wait(POLL_S):
            silent_s = time.monotonic() - last_line
            tenths = 10 * self._done // self._total if self._total else 0
            if silent_s >= LINE_S or (last_tenths < tenths < 10 and silent_s >= TENTH_S):
                last_line, last_tenths = time.monotonic(), tenths
                logger.info("%s", self._describe())

    def _describe(self) -> str:
        """``sample M1: 1,200 of 4,000 requests (30%) in 14.0 s, 14.3/s, 3 min 16 s left, 1,000 made before; NOTE``."""
        seconds = time.monotonic() - self._start
        rate = (self._done - self._num_skipped) / max(seconds, 1e-9)
        decimals = 1 if rate >= 10 else 2
        text = f"{self._desc}: {self._done:,}"
        text += (
            f" of {self._total:,} {self._unit} ({self._done / self._total:.0%})" if self._total else f" {self._unit}"
        )
        text += f" in {format_duration(seconds)}, {rate:,.{decimals}f}/s"
        if self._total and rate and self._done < self._total:
            text += f", {format_duration((self._total - self._done) / rate)} left"
        if self._num_skipped:
            text += f", {self._num_skipped:,} made before"
        note = self._note() if self._note is not None else ""
        return f"{text}; {note}" if note else text


def progress(items: Iterable[T], desc: str, total: int | None = None, unit: str = "rows") -> Iterator[T]:
    """`items`, with a `Progress` over `total`, by default their number where they have one."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(desc, total, unit) as shown:
        for item in items:
            yield item
            shown.advance()


def format_duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
