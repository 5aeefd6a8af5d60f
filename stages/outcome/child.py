"""The grading process: reads entries, and compares pairs of formulas with math-verify.

A copy of stages.outcome.nursery. Requests are long and their sender is to be trusted, so they come in Python's own
plain format; replies are lines of JSON, since this process may have lost itself in what a model wrote. The first line
is its number. Then ``("read", entries)`` gives ``[[readings, numbers], seconds]``, ``("compare", gold, answer, limit)``
gives ``[[value, reason], seconds]``. The seconds are of processor time. The process sets its own limits on memory and
processor time.
"""

from __future__ import annotations

import json
import marshal
import os
import resource
import struct
import time
from pathlib import Path
from typing import IO, Any

from stages.outcome.algebra import Algebra
from stages.outcome.reading import Entry, Pair, Reading, read

GRACE = 2
"""Seconds of processor time above the limit of a pair after which the kernel ends this process."""


_LENGTH = struct.Struct("=Q")
_PLAIN = 2
"""The version of marshal's format that looks for no object that comes twice."""


def pack(request: tuple[Any, ...]) -> bytes:
    """A request as `serve` takes it, its length first; raises `ValueError` for what is no plain Python object."""
    content = marshal.dumps(request, _PLAIN)
    return _LENGTH.pack(len(content)) + content


def _receive(requests: IO[bytes]) -> tuple[Any, ...] | None:
    """The next request; None where there is none any more."""
    length = requests.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    request: tuple[Any, ...] = marshal.loads(requests.read(*_LENGTH.unpack(length)))  # noqa: S302 - from the parent
    return request


def _limit_memory(bytes_more: int) -> None:
    """Leave this process `bytes_more` of address space on top of what it has taken by now."""
    statistics = Path("/proc/self/statm")
    taken = int(statistics.read_text().split()[0]) * resource.getpagesize() if statistics.exists() else 1 << 29
    resource.setrlimit(resource.RLIMIT_AS, (taken + bytes_more, taken + bytes_more))


def _limit_processor(seconds: float) -> None:
    """End this process when it spends `seconds` and some grace more, though its parent may be gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    ceiling = int(used.ru_utime + used.ru_stime + seconds) + GRACE
    resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.RLIM_INFINITY))


def _compare(algebra: Algebra, gold: str, answer: str) -> tuple[bool | None, str]:
    try:
        return algebra.compare(gold, answer)
    except MemoryError:
        return None, "out of memory"
    except RecursionError:
        return None, "nested too deeply"
    except Exception as error:  # noqa: BLE001 - whatever a model's text makes a parser raise is that pair's "cannot tell"
        return None, f"algebra failed: {type(error).__name__}"


def _readings(entries: list[tuple[str, str, bool]]) -> tuple[list[tuple[Any, ...]], list[int]]:
    """The different readings, and which of them each entry has.

    As JSON takes them: a decision is ``gold, answer, rule, value, reason``, a pair has one item more.
    """
    numbers: dict[Reading, int] = {}
    order = [numbers.setdefault(read(Entry(*entry)), len(numbers)) for entry in entries]
    return [_row(reading) for reading in numbers], order


def _row(reading: Reading) -> tuple[Any, ...]:
    gold, answer, found_by, decided = reading
    return (gold, answer, found_by, *decided, *((0,) if isinstance(decided, Pair) else ()))


def serve(requests: IO[bytes], replies: IO[bytes], algebra: Algebra | None, memory: int) -> None:
    """Answer `requests` until they end; without `algebra` only those to read. One may take `memory` bytes."""

    def reply(content: object) -> None:
        replies.write(json.dumps(content, separators=(",", ":")).encode("ascii") + b"\n")
        replies.flush()

    _limit_memory(memory)
    reply(os.getpid())
    while True:
        began = time.process_time()
        if (request := _receive(requests)) is None:
            return
        what, *arguments = request
        if what == "read":
            reply([_readings(arguments[0]), time.process_time() - began])
        else:
            assert algebra is not None
            gold, answer, limit = arguments
            _limit_processor(limit)
            reply([_compare(algebra, gold, answer), time.process_time() - began])
            _limit_processor(1 << 20)
