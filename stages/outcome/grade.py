"""Verdicts on pairs: True, False, or None for "cannot tell", each with its reason."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import starmap

from stages.outcome.grader import Grader
from stages.outcome.reading import Entry
from stages.outcome.verdict import Verdict


def grade_many(pairs: Iterable[tuple[str, str]], workers: int = 1, timeout_s: float = 5.0) -> Iterator[Verdict]:
    """Verdicts of (gold, solution or answer) pairs, in order, by up to `workers` processes.

    A pair that takes more than `timeout_s` seconds, or kills its process, gets None and its reason. Equal pairs are
    compared once. Processes are started when there is work for them, and ended with the iterator. Raises `ValueError`
    for `workers` below 1 or `timeout_s` of 0 or less.
    """
    with closing(Grader(workers, timeout_s)) as grader:
        yield from grader.grade(starmap(Entry, pairs))


_shared: dict[tuple[int, float], Grader] = {}
_lock = threading.Lock()


def grade(gold: str, solution_or_answer: str, timeout_s: float = 5.0) -> Verdict:
    """The verdict of one pair. The process that does the algebra is kept for the next call, until Python ends."""
    with _lock:
        key = (os.getpid(), timeout_s)
        if key not in _shared:
            _shared[key] = Grader(1, timeout_s)
            atexit.register(_shared[key].close)
        (verdict,) = _shared[key].grade([Entry(gold, solution_or_answer)])
        return verdict
