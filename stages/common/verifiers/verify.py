"""Verifiers by task, and verdicts by one call."""

import atexit
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import starmap

from stages.common.registry import Registry
from stages.common.verifiers.verifier import Verdict, Verifier, VerifierInput

VERIFIERS: Registry[type[Verifier]] = Registry("verifier", {"math": "stages.common.verifiers.math:MathVerifier"})
"""Verifier classes by task."""


class VerifierSet:
    """The verifiers of all tasks of a table, each opened when it is first used."""

    def __init__(self, num_workers: int, timeout_s: float, accepts_guesses: bool = False) -> None:
        self._num_workers = num_workers
        self._timeout_s = timeout_s
        self._accepts_guesses = accepts_guesses
        self._verifiers: dict[str, Verifier] = {}

    def get(self, task: str) -> Verifier:
        """Return the verifier of `task`; raise `UserError` if none is registered."""
        if task not in self._verifiers:
            self._verifiers[task] = VERIFIERS.get(task)(self._num_workers, self._timeout_s, self._accepts_guesses)
        return self._verifiers[task]

    def close(self) -> None:
        """Release the processes of all verifiers."""
        for verifier in self._verifiers.values():
            verifier.close()


def verify_answers(
    pairs: Iterable[tuple[str, str]], num_workers: int = 1, timeout_s: float = 5.0, task: str = "math"
) -> Iterator[Verdict]:
    """Yield the verdict on each (gold answer, completion or answer) pair, in order.

    A comparison that takes more than `timeout_s` seconds, or ends its process, is unknown; the others are not affected.
    Raises `UserError` for an unknown task, for `num_workers` below 1 or `timeout_s` of 0 or less.
    """
    with closing(VERIFIERS.get(task)(num_workers, timeout_s)) as verifier:
        yield from verifier.verify_many(starmap(VerifierInput, pairs))


_shared: dict[tuple[int, str, float], Verifier] = {}
_lock = threading.Lock()


def verify_answer(gold: str, completion: str, task: str = "math", timeout_s: float = 5.0) -> Verdict:
    """Return the verdict on a completion or an answer alone. Processes are kept for the next call until Python ends."""
    with _lock:
        key = (os.getpid(), task, timeout_s)
        if key not in _shared:
            _shared[key] = VERIFIERS.get(task)(1, timeout_s)
            atexit.register(_shared[key].close)
        return _shared[key].verify(*VerifierInput(gold, completion).as_text())
