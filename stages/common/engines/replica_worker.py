"""What a replica of an engine does in its process: requests in and responses out by a pipe, until the pipe closes."""

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

from stages.common.engines.engine import Engine, EngineError
from stages.common.engines.request import GenerationRequest


@dataclass(frozen=True)
class StreamEnd:
    """All requests up to the end of a stream have their responses."""


@dataclass(frozen=True)
class ReplicaError:
    """The engine cannot go on."""

    reason: str


def run_replica(pipe: Connection[Any, Any], make: Callable[[], Engine], environment: dict[str, str]) -> None:
    """Respond to streams of requests, each ended by None, with exchanges and `StreamEnd`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles an interrupt and closes the pipe
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    os.environ.update(environment)
    inbox: queue.SimpleQueue[GenerationRequest | None] = queue.SimpleQueue()
    threading.Thread(target=_read_pipe, args=(pipe, inbox), name="replica-reader", daemon=True).start()
    engine = make()
    try:
        while True:
            for exchange in engine.complete(iter(inbox.get, None)):
                pipe.send(exchange)
            pipe.send(StreamEnd())
    except EngineError as error:
        with suppress(OSError):
            pipe.send(ReplicaError(str(error)))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending already
        engine.close()


def _read_pipe(pipe: Connection[Any, Any], inbox: queue.SimpleQueue[GenerationRequest | None]) -> None:
    """Always read, so that neither side waits for the other's buffer; end this process when the parent is gone."""
    with suppress(EOFError, OSError):
        while True:
            inbox.put(pipe.recv())
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
