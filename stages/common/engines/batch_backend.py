"""What runs batches: a provider's batch endpoint, or vLLM on this machine."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stages.common.engines.batch_files import StoredBatch
from stages.common.engines.servers import Secrets

LIMIT_CODES = frozenset({"token_limit_exceeded", "request_limit_exceeded"})
"""Codes of a failed batch that say that too much is under way."""


class BatchError(NamedTuple):
    """Why a whole batch failed before it ran."""

    line: int | None
    """1-based line of the input file that it is about; None: all of it."""
    code: str
    message: str


@dataclass(frozen=True)
class BatchStatus:
    """Where a batch is. Counts are of its requests, null where the server tells none."""

    name: str
    """The server's word: `validating`, `in_progress`, `finalizing`, `completed`, `failed`, `expired`, ..."""
    is_finished: bool
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[BatchError, ...] = ()

    @property
    def is_over_limit(self) -> bool:
        """Whether the batch did not start since too much of this account is under way."""
        return self.name == "failed" and any(error.code in LIMIT_CODES for error in self.errors)

    def __str__(self) -> str:
        if self.total is None:
            return self.name
        return f"{self.name}, {self.completed or 0:,} of {self.total:,} requests completed, {self.failed or 0:,} failed"


class BatchBackend(Protocol):
    """Runs batches. All that it knows of one is in its folder, so that a later run goes on from there."""

    charges_less: bool
    """Whether its completions have a batch's price."""

    @property
    def secrets(self) -> Secrets:
        """What no message may show."""
        ...

    def find(self, batch: StoredBatch) -> bool:
        """Whether a batch that may have been sent, but whose id was never stored, runs; its id is then stored."""
        ...

    def submit(self, batch: StoredBatch) -> None:
        """Have it run, once. Raises `EngineError` where that is impossible."""
        ...

    def poll(self, batch: StoredBatch) -> BatchStatus:
        """Where it is; may run it and return at its end. Raises `EngineError`; what runs elsewhere keeps running."""
        ...

    def fetch(self, batch: StoredBatch, status: BatchStatus) -> None:
        """Store the results of a finished batch in its folder."""
        ...

    def close(self) -> None:
        """End what this program has started; may be called twice."""
        ...
