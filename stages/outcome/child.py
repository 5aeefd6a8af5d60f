"""The grading process: reads pairs of formulas, compares them with math-verify, writes verdicts.

Run as a module of its own by stages.outcome.worker. One line of JSON in, ``[gold, answer, seconds]``; one line out,
``[value, reason, seconds]``. It sets its own limits on memory and processor time.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import IO

from stages.outcome.algebra import Algebra

MEMORY = 1 << 30
"""Address space, in bytes; SymPy itself takes some 100 MB."""

GRACE = 2
"""Seconds of processor time above the limit of a pair after which the kernel ends this process."""


def _limit_processor(seconds: float) -> None:
    """End this process when it spends `seconds` and some grace more, though its parent may be gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    ceiling = int(used.ru_utime + used.ru_stime + seconds) + GRACE
    resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.RLIM_INFINITY))


def _verdict(algebra: Algebra, gold: str, answer: str) -> tuple[bool | None, str]:
    try:
        return algebra.compare(gold, answer)
    except MemoryError:
        return None, "out of memory"
    except RecursionError:
        return None, "nested too deeply"
    except Exception as error:  # noqa: BLE001 - whatever a model's text makes a parser raise is that pair's "cannot tell"
        return None, f"algebra failed: {type(error).__name__}"


def serve(pairs: IO[bytes], verdicts: IO[bytes]) -> None:
    """Answer `pairs` until they end; first writes an empty line to say that it is ready."""
    algebra = Algebra()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    verdicts.write(b"\n")
    verdicts.flush()
    for line in pairs:
        gold, answer, seconds = json.loads(line)
        _limit_processor(seconds)
        began = time.perf_counter()
        value, reason = _verdict(algebra, gold, answer)
        verdicts.write(json.dumps([value, reason, time.perf_counter() - began]).encode("ascii") + b"\n")
        verdicts.flush()


def main() -> None:
    parent = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    if os.getppid() != parent:
        return
    pairs, verdicts = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Parsers print what they think of a formula; none of it may get between the verdicts.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    serve(pairs, verdicts)


if __name__ == "__main__":
    main()
