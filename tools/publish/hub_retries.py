"""Retries of requests to a busy Hub: how many, and how long to wait."""

from collections.abc import Callable
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # documented there

T = TypeVar("T")

HUB_ERRORS = (HfHubHTTPError, httpx2.HTTPError, LocalEntryNotFoundError)
"""What the client raises for an HTTP error or a failed connection; the last of them for a download."""

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

MAX_WAIT_S = 300.0
"""The Hub counts requests in windows of five minutes."""


class HubRetryPolicy:
    """At most `max_attempts` attempts where the Hub is busy or not reached, with `wait(seconds)` between them."""

    def __init__(self, max_attempts: int, wait: Callable[[float], None]) -> None:
        self.max_attempts = max_attempts
        self.wait = wait

    def call(self, request: Callable[[], T]) -> T:
        """The result of `request`, which must be safe to repeat."""
        for attempt in range(self.max_attempts):
            try:
                return request()
            except HUB_ERRORS as error:
                self.wait_after(error, attempt)
        raise AssertionError("wait_after raises after the last attempt")

    def wait_after(self, error: Exception, attempt: int) -> None:
        """Wait before the next attempt; raise `error` if none is left or a retry cannot help."""
        response = error.response if isinstance(error, HfHubHTTPError) else None
        if attempt + 1 >= self.max_attempts or (response is not None and response.status_code not in RETRIED_STATUSES):
            raise error
        self.wait(choose_wait_s(response, attempt))


def choose_wait_s(response: httpx2.Response | None, attempt: int) -> float:
    """Seconds to wait: Retry-After, or the time until the rate limit's reset, otherwise 2, 4, 8, ..."""
    headers = {} if response is None else response.headers
    retry_after, limit = headers.get("retry-after", ""), parse_ratelimit_headers(headers)
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), MAX_WAIT_S)
    return min(2.0 ** (attempt + 1) if limit is None else float(limit.reset_in_seconds), MAX_WAIT_S)
