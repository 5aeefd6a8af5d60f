"""What a copy of an engine does in its process: requests in by a pipe, answers out by it, until the pipe closes."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from stages.common.engines.engine import Engine
from stages.common.engines.errors import EngineError
from stages.common.engines.request import Request


@dataclass(frozen=True)
class Ended:
    """All requests up to the end of a stream are answered."""


@dataclass(frozen=True)
class Refused:
    """The engine cannot go on."""

    reason: str


def work(pipe: Connection[Any, Any], make: Callable[[], Engine], environment: dict[str, str]) -> None:
    """Answer streams of requests, each ended by None, with pairs of request and result, and `Ended`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which then closes the pipe
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    os.environ.update(environment)
    inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, inbox), name="llm-copy-reader", daemon=True).start()
    engine = make()
    try:
        while True:
            for answered in engine.complete(iter(inbox.get, None)):
                pipe.send(answered)
            pipe.send(Ended())
    except EngineError as error:
        with suppress(OSError):
            pipe.send(Refused(str(error)))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
        engine.close()


def _read(pipe: Connection[Any, Any], inbox: queue.SimpleQueue[Request | None]) -> None:
    """Always read, so that neither side waits for the other to make room; end this process when the parent is gone."""
    with suppress(EOFError, OSError):
        while True:
            inbox.put(pipe.recv())
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
