"""When a failed attempt is repeated, after how long, and what stops everything."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""Statuses below 500 that time may cure. All others say that the request, the model or the key is wrong."""


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts and delays, in seconds."""

    request_timeout_s: float
    """For a request with all its attempts and delays."""
    attempt_timeout_s: float
    """For one attempt; a server that is silent for this long counts as hung."""
    first_delay_s: float = 0.5
    max_delay_s: float = 60.0

    def choose_delay(self, num_attempts: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after `num_attempts` failed attempts: doubling, with jitter against synchronised retries.

        At least `retry_after_s`, what the server's Retry-After header asks for.
        """
        longest = min(self.max_delay_s, self.first_delay_s * 2.0 ** min(num_attempts - 1, 32))
        delay = longest * (0.5 + 0.5 * random.random())
        return delay if retry_after_s is None else retry_after_s + delay * 0.1


class AttemptError(Exception):
    """One failed attempt. `kind` is what it is counted by; `is_final` where another attempt cannot succeed."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        is_final: bool = False,
        is_unreachable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.is_final = is_final
        self.is_unreachable = is_unreachable
        self.retry_after_s = retry_after_s


def make_status_error(status: int, phrase: str, detail: str, retry_after: str | None) -> AttemptError:
    """The error that an HTTP status of 300 or more stands for; `retry_after` is the header's text."""
    is_final = status < 500 and status not in RETRIED_STATUSES
    delay = None if is_final else read_retry_after(retry_after)
    return AttemptError(f"HTTP {status} {phrase}".strip(), detail, is_final=is_final, retry_after_s=delay)


def read_retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, given in seconds or as a date; None where absent or invalid."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None
