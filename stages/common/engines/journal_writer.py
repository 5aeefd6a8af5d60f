"""Completions on their way to the journal: those that arrive during one sync to disk share the next."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Any, Self

from stages.common.engines.engine import EngineError
from stages.common.journal import Journal

GATHER_S = 0.02
"""Seconds that a completion waits for others to share its sync; a kill loses what is younger."""


class JournalWriter:
    """Writes to a journal in a thread of its own, so that completions do not wait for the disk; a context manager.

    When the block ends, however it ends, all that was added is on disk. Raises `EngineError` where the disk refuses.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = Lock()
        self._unwritten: dict[str, Any] = {}
        self._executor = ThreadPoolExecutor(1, "journal-writer")
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        if kind is None:
            self._check()

    def add(self, key: str, value: Any) -> None:
        """Have `value` written under `key` within a moment."""
        self._check()
        with self._lock:
            self._unwritten[key] = value
            if len(self._unwritten) == 1:
                self._executor.submit(self._write).add_done_callback(self._keep_error)

    def _keep_error(self, write: Future[None]) -> None:
        self._error = self._error or write.exception()

    def _check(self) -> None:
        if isinstance(self._error, OSError):
            raise EngineError(
                f"{self._journal.path}: cannot be written ({self._error.strerror}); what it holds is kept: free some "
                "space and run again"
            )
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        time.sleep(GATHER_S)
        with self._lock:
            batch, self._unwritten = self._unwritten, {}
        self._journal.put_each(batch)
