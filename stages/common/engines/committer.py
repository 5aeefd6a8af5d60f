"""Answers on their way to the journal: whatever came during one sync to disk goes with the next."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from stages.common.engines.errors import EngineError
from stages.common.journal import Journal

GATHER_S = 0.02
"""Seconds that an answer waits for others to share its sync; a kill loses what is younger."""


class Committer:
    """Writes to a journal from a thread of its own, so that answers do not wait for the disk; a context manager.

    When the block ends, all that was added is on disk, however it ends. Raises `EngineError` where the disk refuses.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._changed = threading.Condition()
        self._waiting: dict[str, Any] = {}
        self._closing = False
        self._fault: OSError | None = None
        self._thread = threading.Thread(target=self._write, name="llm-committer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if kind is None:
            self._raise_fault()

    def add(self, key: str, value: Any) -> None:
        """Have `value` written under `key` within a moment."""
        self._raise_fault()
        with self._changed:
            self._waiting[key] = value
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise EngineError(
                f"{self._journal.path}: cannot be written ({self._fault.strerror}); what it holds is kept: make room "
                "and run again"
            )

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: self._closing, timeout=GATHER_S)
                batch, self._waiting = self._waiting, {}
                if not batch:
                    return
            try:
                self._journal.put_each(batch)
            except OSError as error:
                self._fault = error
                return
