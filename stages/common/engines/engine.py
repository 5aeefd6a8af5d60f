"""What every engine does, which model it runs, and how it says that it cannot go on."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from stages.common.engines.request import Exchange, GenerationRequest
from stages.common.errors import UserError


class EngineError(UserError):
    """Generation cannot go on; the message is one line with the cause and what to do. Finished requests are kept."""


@dataclass(frozen=True)
class ModelId:
    """A model as transformers and vLLM load it: a Hub repo or a folder, and the commit of a repo."""

    source: str
    revision: str | None = None
    hash: str | None = None
    """Hash of its weights where it is known, as a policy's manifest has it; it then identifies the model."""

    def __str__(self) -> str:
        return self.hash or (f"{self.source}@{self.revision}" if self.revision else self.source)


class Engine(Protocol):
    """Generates completions. Nothing is loaded or started before the first request."""

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """Respond to each of `requests` once, in any order; they are taken as there is room, not all at once.

        Neighbours are worked on together: put requests that share a long prefix side by side. Closing the generator
        cancels what is in flight. Raises `EngineError`, after all finished responses, when no request can succeed.
        """
        ...

    def close(self) -> None:
        """Release models, servers and connections; may be called twice."""
        ...
