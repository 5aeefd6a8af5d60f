"""A request to a language model, and the response to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from stages.common.params.engine import OWN_KEYS
from stages.common.tables import content_hash
from stages.common.text import has_lone_surrogate

Message = dict[str, str]
"""One message of a chat: ``{"role": ..., "content": ...}``."""

_VERSION = 1
"""Counts up when our code would respond to the same request differently; old completions are then generated again."""


@dataclass(frozen=True)
class GenerationRequest:
    """A request for one completion. Equal requests have equal keys and are sent once.

    Several samples of one prompt differ in `seed` alone. Where the model is served is no part of a request. Raises
    `ValueError` for values that no model can take.
    """

    model: str
    """Identity of the model: a policy's hash, or repo and revision. Not the name that a server gives it."""
    prompt: str | list[Message]
    """Text to be completed, or a chat to be answered through the model's own chat template."""
    temperature: float | None
    """None, here and below: not sent, so that the server's own default holds."""
    max_tokens: int
    seed: int | None
    """In [-2**63, 2**63); None leaves the draw to the engine, and the request is nevertheless sent once."""
    top_p: float | None = 1.0
    stop: tuple[str, ...] = ()
    """Texts that end the completion and are not part of it."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the completion has to match, where the engine can enforce it."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """What else determines the completion, by the API's names: `chat_template_kwargs`, `reasoning_effort`, `top_k`."""
    schema_after_reasoning: bool = False
    """Whether the schema holds only after the closed thinking, which is free."""
    custom_id: str = field(default="", compare=False)
    """The caller's own id, by which recorded completions are found; not part of the key."""
    wants_token_ids: bool = field(default=False, compare=False)
    """Whether the completion is to come with its token ids and log-probs, where the engine has them; not part of the
    key."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("request: prompt: expected text, found none")
        if self.max_tokens < 1:
            raise ValueError(f"request: max_tokens: expected at least 1, found {self.max_tokens}")
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"request: seed: expected a signed integer of 64 bits, found {self.seed}")
        if own := sorted(OWN_KEYS & self.extra_body.keys()):
            raise ValueError(f"request: extra_body: {own[0]}: has a field of its own, or is not supported")
        if self.schema_after_reasoning and self.schema is None:
            raise ValueError("request: schema_after_reasoning: expected a schema, found none")
        texts = [self.prompt] if isinstance(self.prompt, str) else [message["content"] for message in self.prompt]
        if any(map(has_lone_surrogate, texts)):
            raise ValueError("request: prompt: expected valid text, found half of a character (lone surrogate)")

    @cached_property
    def key(self) -> str:
        """Hash of everything that determines the completion: its key in the journal."""
        # Fields that came later count only where they are set: the keys of older journals stay.
        later = {"extra_body": dict(self.extra_body), "schema_after_reasoning": self.schema_after_reasoning}
        given = {name: value for name, value in later.items() if value}
        return content_hash(
            "llm",
            _VERSION,
            self.model,
            self.prompt,
            None if self.temperature is None else float(self.temperature),
            None if self.top_p is None else float(self.top_p),
            self.max_tokens,
            self.seed,
            self.stop,
            self.schema,
            *([given] if given else []),
        )

    def accepts(self, value: Any) -> bool:
        """Whether a journal's `value` holds all of a completion that this request asks for."""
        return has_completion_form(value, self.wants_token_ids)

    def to_json(self, completion: Completion) -> dict[str, Any]:
        """What the journal stores of its `completion`: all that was asked for, null where the engine gave none."""
        return {**dict.fromkeys(sorted(_list_stored_fields(self.wants_token_ids))), **completion.to_json()}

    @cached_property
    def prompt_hash(self) -> str:
        """Hash of what determines the prompt's tokens: requests that share it share a server's prefix cache."""
        return content_hash(
            "family", self.model, self.prompt, *([self.template_kwargs] if self.template_kwargs else [])
        )

    @cached_property
    def template_kwargs(self) -> dict[str, Any]:
        """What the chat template gets besides the chat, as vLLM's chat endpoint reads it from `extra_body`."""
        given = dict(self.extra_body.get("chat_template_kwargs") or {})
        effort = self.extra_body.get("reasoning_effort")
        if effort is None:
            return given
        return {"enable_thinking": effort != "none"} | given | {"reasoning_effort": effort}


@dataclass(frozen=True)
class Completion:
    """A completion as the engine reports it; nothing in it is to be trusted."""

    text: str
    finish_reason: str
    """`stop`, `length` when cut by `max_tokens`, `content_filter`, `refusal` or `tool_calls`, by whatever server."""
    prompt_tokens: int | None
    """None where not reported."""
    completion_tokens: int | None
    cached_tokens: int | None
    """Those of `prompt_tokens` that came from a prefix cache; None where not reported."""
    model: str
    """Name of the model as the engine reports it."""
    reasoning: str | None = None
    """Thinking that the server gave apart from the text; empty where it counts some and keeps it to itself.

    Thinking in tags stays in `text`.
    """
    is_batch: bool = False
    """Whether it came from a provider's batch, which costs less."""
    token_ids: tuple[int, ...] | None = None
    """The sampled tokens, with the one that ended the completion; None where the engine does not give them."""
    logprobs: tuple[float, ...] | None = None
    """Log-prob of each of `token_ids` at temperature 1, in nats; None where the engine does not give them."""

    def to_json(self) -> dict[str, Any]:
        """The form that the journal stores; log-probs are rounded to five decimals, which a report needs no more of."""
        value = {name: each for name, each in vars(self).items() if each is not None or name not in _TOKEN_FIELDS}
        if self.logprobs is not None:
            value["logprobs"] = [round(logprob, 5) for logprob in self.logprobs]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Completion:
        """The completion that `to_json` wrote; raise `TypeError` for anything else."""
        lists = {name: tuple(value[name]) for name in _TOKEN_FIELDS if value.get(name) is not None}
        return cls(**{**value, **lists})


_TOKEN_FIELDS = frozenset(("token_ids", "logprobs"))
"""Lists that only requests which want them ask for."""


def has_completion_form(value: Any, has_token_ids: bool) -> bool:
    """Whether a journal's `value` has the fields of a completion, and no unknown ones; token ids if `has_token_ids`.

    Code that did not know a field stored none, which is not the same as an engine that gave none.
    """
    every = {each.name for each in fields(Completion)}
    return isinstance(value, dict) and _list_stored_fields(has_token_ids) <= value.keys() <= every


def _list_stored_fields(has_token_ids: bool) -> set[str]:
    """The fields that a stored completion must have; what came before there were batches is of none."""
    return {each.name for each in fields(Completion)} - {"is_batch"} - (set() if has_token_ids else _TOKEN_FIELDS)


@dataclass(frozen=True)
class Failure:
    """A request that failed finally: `reason` in a few words, after `num_attempts`. The next run sends it again."""

    reason: str
    num_attempts: int
    kind: str = "failed"
    """A few words without detail, by which failures are counted."""


Response = Completion | Failure
Exchange = tuple[GenerationRequest, Response]
