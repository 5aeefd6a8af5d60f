"""What every engine does, which model it runs, and how it says that it cannot go on."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from stages.common.engines.request import Exchange, GenerationRequest
from stages.common.errors import UserError
from stages.common.policies import MANIFEST, hash_policy_files
from stages.common.provenance import hash_folder


class EngineError(UserError):
    """Generation cannot go on; the message is one line with the cause and what to do. Finished requests are kept."""


@dataclass(frozen=True)
class ModelId:
    """A model as transformers and vLLM load it: a Hub repo or a folder, and the commit of a repo."""

    source: str
    revision: str | None = None
    hash: str | None = None
    """Hash of its weights where it is known, as a policy's manifest has it; it then identifies the model."""

    @classmethod
    def find(cls, source: str, revision: str | None = None) -> ModelId:
        """The model of that name; one in a folder is known by the hash of its files, whatever the folder's path."""
        folder = Path(source)
        if revision is not None or not folder.is_dir():
            return cls(source, revision)
        stats = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")))
        return cls(source, None, _hash_model(folder, stats))

    def __str__(self) -> str:
        return self.hash or (f"{self.source}@{self.revision}" if self.revision else self.source)


@cache
def _hash_model(folder: Path, _stats: tuple[tuple[str, int, int], ...]) -> str:
    """Hash of a folder's files, read again only where their sizes or times have changed."""
    return hash_policy_files(hash_folder(folder, exclude=(MANIFEST,)))


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
