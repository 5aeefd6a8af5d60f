"""What every engine does."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Protocol

from stages.common.engines.request import Answered, Request


class Engine(Protocol):
    """A way to have requests answered. Nothing is loaded or started before the first request."""

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """Answer each of `requests` once, in any order; they are taken as there is room, not all at once.

        Neighbours are worked on together: put what shares a long prefix side by side. Closing the generator gives up
        what is in work. Raises `EngineError` when no request can be answered any more, after all answers that came.
        """
        ...

    def close(self) -> None:
        """Let go of models, servers and connections; may be called twice."""
        ...
