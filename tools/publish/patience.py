"""Waiting for a busy Hub: how long, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

T = TypeVar("T")

TROUBLE = (HfHubHTTPError, httpx2.HTTPError, LocalEntryNotFoundError)
"""What the client raises where the Hub says no, or is not reached; the last of them by a download."""

BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""Status codes that another try may not meet."""

LONGEST = 300.0
"""Seconds: the Hub counts requests in windows of five minutes."""


class Patience:
    """Tries again where the Hub is busy or out of reach: `attempts` times at most, `wait(seconds)` between them."""

    def __init__(self, attempts: int, wait: Callable[[float], None]) -> None:
        self.attempts = attempts
        self.wait = wait

    def call(self, request: Callable[[], T]) -> T:
        """What `request` returns; it must be one that may be made twice."""
        for attempt in range(self.attempts):
            try:
                return request()
            except TROUBLE as error:
                self.wait_after(error, attempt)
        raise AssertionError("wait_after raises after the last attempt")

    def wait_after(self, error: Exception, attempt: int) -> None:
        """Wait before the next attempt; raise `error` where none is left, or where none would help."""
        response = error.response if isinstance(error, HfHubHTTPError) else None
        if attempt + 1 >= self.attempts or (response is not None and response.status_code not in BUSY):
            raise error
        self.wait(pause(response, attempt))


def pause(response: httpx2.Response | None, attempt: int) -> float:
    """Seconds to wait: what the answer asks for (Retry-After, or until its rate limit's reset), else 2, 4, 8, ..."""
    asked = response.headers.get("retry-after", "") if response is not None else ""
    limit = response.headers.get("ratelimit", "") if response is not None else ""
    reset = next((part.strip()[2:] for part in limit.split(";") if part.strip().startswith("t=")), "")
    seconds = next((float(text) for text in (asked, reset) if text.isascii() and text.isdigit()), 2.0 ** (attempt + 1))
    return min(seconds, LONGEST)
