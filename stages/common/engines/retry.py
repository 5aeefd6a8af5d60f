"""What is tried again, after how long, and what stops everything."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds."""

    deadline_s: float
    """For a request with all its tries and pauses."""
    try_s: float
    """For one try; a server that says nothing for as long counts as hung."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0

    def pause(self, tries: int, asked_for: float | None = None) -> float:
        """Seconds before the next try after `tries` failed ones: doubling, with jitter so that not all come at once.

        At least `asked_for`, what the server's Retry-After says.
        """
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(tries - 1, 32))
        jittered = longest * (0.5 + 0.5 * random.random())
        return jittered if asked_for is None else asked_for + jittered * 0.1


class Trouble(Exception):  # noqa: N818 - not always an error
    """One failed try. `kind` counts it, the message tells it; `stop` where trying again is of no use."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        stop: bool = False,
        unreachable: bool = False,
        asked_for: float | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.stop = stop
        self.unreachable = unreachable
        self.asked_for = asked_for


AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 that time may cure. All others say that the request, the model or the key is wrong."""


def trouble_of_status(status: int, phrase: str, said: str, headers: Mapping[str, str]) -> Trouble:
    """The trouble that a status of 400 or more stands for."""
    again = status in AGAIN or status >= 500
    asked_for = retry_after(headers.get("retry-after")) if again else None
    return Trouble(f"HTTP {status} {phrase}".strip(), said, stop=not again, asked_for=asked_for)


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, in seconds or as a date; None where it is absent or senseless."""
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
