"""What is asked of a language model and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stages.common.tables import content_hash

Message = dict[str, str]
"""One message of a chat: ``{"role": ..., "content": ...}``."""

_VERSION = 1
"""Counts up when the same request would be answered differently by code of ours; old answers are then asked again."""


@dataclass(frozen=True)
class Request:
    """One text wanted from a model. Equal requests have equal keys and are asked once.

    Several samples of one prompt differ in `seed` alone. Where the model is served is the engine's affair and no part
    of a request. Raises `ValueError` for what no model can be asked.
    """

    model: str
    """Identity of the model: a policy's hash, or repo and revision. Not the name that a server gives it."""
    prompt: str | list[Message]
    """Text to be continued, or a chat to be answered by the model's own chat template."""
    temperature: float
    max_tokens: int
    seed: int | None
    """In [-2**63, 2**63); None leaves the draw to the server and is asked once nonetheless."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Texts that end the completion; they are no part of it."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the completion is held to."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("request: prompt: empty")
        if self.max_tokens < 1:
            raise ValueError(f"request: max_tokens: expected at least 1, found {self.max_tokens}")
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"request: seed: expected 64 bits with a sign, found {self.seed}")
        texts = [self.prompt] if isinstance(self.prompt, str) else [m["content"] for m in self.prompt]
        for text in texts:
            if not text.isascii():
                _check_encoding(text)

    @cached_property
    def key(self) -> str:
        """Hash of everything that determines the completion: the key of its answer in the journal."""
        return content_hash(
            "llm",
            _VERSION,
            self.model,
            self.prompt,
            float(self.temperature),
            float(self.top_p),
            self.max_tokens,
            self.seed,
            self.stop,
            self.schema,
        )

    @cached_property
    def family(self) -> str:
        """Hash of model and prompt alone: requests of one family share a server's prefix cache."""
        return content_hash("family", self.model, self.prompt)


def _check_encoding(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"request: prompt: half a character (lone surrogate) at {error.start}") from error


@dataclass(frozen=True)
class Completion:
    """What a model answered, as reported; nothing in it is to be trusted."""

    text: str
    finish_reason: str
    """`stop`, `length` when cut by `max_tokens`, `refusal`, or what else the server says."""
    prompt_tokens: int | None
    """Tokens in; None where not reported."""
    completion_tokens: int | None
    cached_tokens: int | None
    """Those of `prompt_tokens` that a prefix cache served; None where not reported."""
    model: str
    """Name of the model as the server reports it."""

    def to_json(self) -> dict[str, Any]:
        """The journal's form of it."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Completion:
        """The completion that `to_json` wrote; raises `TypeError` for anything else."""
        return cls(**value)


@dataclass(frozen=True)
class Failure:
    """A request that failed for good: `reason` in a few words, after `tries` tries. The next run asks it again."""

    reason: str
    tries: int
    kind: str = "failed"
    """A few words without detail, by which failures are counted."""


Result = Completion | Failure
Answered = tuple[Request, Result]
