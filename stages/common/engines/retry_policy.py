"""When a failed attempt is repeated, after how long, and what stops everything."""

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""Statuses below 500 that time may mend."""

REFUSED_STATUSES = frozenset({400, 413, 422})
"""Statuses that say something of one request: its prompt is too long, or the server lacks a parameter."""


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


class Cause(Enum):
    """What a failed attempt says of the attempts to come."""

    TRANSIENT = auto()
    """Time may mend it."""
    UNREACHABLE = auto()
    """There is no connection to the server: it restarts, or there is none at this address."""
    MALFORMED = auto()
    """The reply is no completion: a proxy's page, or something else than a language model is at this address."""
    REFUSED = auto()
    """This request cannot succeed; others may."""
    FINAL = auto()
    """No request can succeed."""


class AttemptError(Exception):
    """One failed attempt. `kind` is what it is counted by; `hint` says what the user can do, where that is known."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        cause: Cause = Cause.TRANSIENT,
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.cause = cause
        self.hint = hint
        self.retry_after_s = retry_after_s


def make_status_error(status: int, phrase: str, detail: str, retry_after: str | None) -> AttemptError:
    """The error that an HTTP status of 300 or more stands for; `retry_after` is the header's text."""
    kind = f"HTTP {status} {phrase}".strip()
    if status >= 500 or status in RETRIED_STATUSES:
        return AttemptError(kind, detail, retry_after_s=read_retry_after(retry_after))
    cause = Cause.REFUSED if status in REFUSED_STATUSES else Cause.FINAL
    return AttemptError(kind, detail, cause, _find_cure(status, detail))


def _find_cure(status: int, detail: str) -> str:
    if status in REFUSED_STATUSES:
        if "schema" in detail or "response_format" in detail:
            return "set engine.openai.response_format to json_object or none, or use a server that enforces schemas"
        if "temperature" in detail:
            return "set temperature of the judge or second_verifier to null, so that none is sent"
        return "change what the message names in the recipe, or use a server that takes it"
    return {
        401: "set OPENAI_API_KEY to a key of this server",
        403: "use a key that may use this model",
        404: "set served_model_name to a name listed under the server's /models, and end the address in /v1",
    }.get(status, "check the address in OPENAI_BASE_URL; most end in /v1")


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
