"""A function for the verifier's processes that kills its own process on the word KILL."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def load() -> Callable[[str, str], tuple[bool | None, str]]:
    return compare


def compare(first: str, second: str) -> tuple[bool | None, str]:
    if "KILL" in second:
        os.kill(os.getpid(), signal.SIGKILL)
    return first == second, "compared"
