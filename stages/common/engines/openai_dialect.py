"""What an OpenAI-compatible server takes: bodies in its dialect, and how the dialect is found from what it refuses.

Only what is set is sent. Where a server refuses a part of the first request with a message that names it, the rule for
that part says what is sent instead. A rule changes the spelling, or leaves out what only our code has added; what the
recipe says (temperature, stop, extra_body) is never changed: its refusal is a failure, with the server's message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from stages.common.engines.request import GenerationRequest
from stages.common.engines.retry_policy import AttemptError, Cause
from stages.common.params.engine import OpenAIParams

BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern"})
"""Keywords of a schema that strict servers refuse. Whoever reads the reply checks it in any case."""

_NAMED_SCHEMAS = ("properties", "$defs")
"""Keywords whose values are schemas by name."""


_TOKEN_KEYS: dict[bool, dict[str, Any]] = {
    True: {"return_token_ids": True, "logprobs": 0},
    False: {"return_token_ids": True, "logprobs": True},
}
"""vLLM's keys for token ids, and the API's for the log-probs of chosen tokens, of a completed prompt or of a chat."""


@dataclass(frozen=True)
class Dialect:
    """What a server takes; the fields are those of `OpenAIParams`."""

    max_tokens_key: str = "max_tokens"
    send_seed: bool = True
    send_top_p: bool = True
    schema_bounds: bool = True
    response_format: str = "json_schema"
    return_token_ids: bool = True

    @classmethod
    def from_params(cls, params: OpenAIParams) -> Dialect:
        """The dialect that `params` say, and OpenAI's where they say nothing."""
        return cls(**params.model_dump(exclude_none=True))

    def describe(self) -> str:
        """What differs from OpenAI's as it was in 2024, as params: ``max_tokens_key: max_completion_tokens``."""
        default = Dialect()
        changed = {each.name: getattr(self, each.name) for each in fields(self)}
        words = {True: "true", False: "false"}
        return ", ".join(
            f"{name}: {words.get(value, value)}" for name, value in changed.items() if value != getattr(default, name)
        )


def write_body(request: GenerationRequest, model_name: str, dialect: Dialect = Dialect()) -> dict[str, Any]:
    """The body of a request to a server that knows the model as `model_name`: only what is set."""
    seed = request.seed if dialect.send_seed else None
    top_p = request.top_p if dialect.send_top_p or request.top_p != 1.0 else None
    asks_for_ids = request.wants_token_ids and dialect.return_token_ids
    optional = {"temperature": request.temperature, "top_p": top_p, "seed": seed, "stop": list(request.stop) or None}
    body: dict[str, Any] = {
        "model": model_name,
        "prompt" if isinstance(request.prompt, str) else "messages": request.prompt,
        dialect.max_tokens_key: request.max_tokens,
        **{name: value for name, value in optional.items() if value is not None},
        **(_TOKEN_KEYS[isinstance(request.prompt, str)] if asks_for_ids else {}),
        **request.extra_body,
    }
    if request.schema is not None and dialect.response_format != "none":
        body["response_format"] = {"type": dialect.response_format}
        if dialect.response_format == "json_schema":
            schema = dict(request.schema) if dialect.schema_bounds else _strip_bounds(request.schema)
            body["response_format"]["json_schema"] = {"name": "reply", "schema": schema, "strict": True}
    return body


def _strip_bounds(schema: Any) -> Any:
    """`schema` without `BOUNDS`; what a property is called decides nothing."""
    if isinstance(schema, list):
        return [_strip_bounds(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        name: {key: _strip_bounds(each) for key, each in value.items()}
        if name in _NAMED_SCHEMAS
        else value
        if name in ("enum", "const")
        else _strip_bounds(value)
        for name, value in schema.items()
        if name not in BOUNDS
    }


@dataclass(frozen=True)
class _Rule:
    """Where a refusal names `pattern`, `field` becomes the value after the present one in `values`."""

    field: str
    values: tuple[Any, ...]
    pattern: str

    def apply(self, dialect: Dialect) -> Dialect | None:
        at = self.values.index(getattr(dialect, self.field)) + 1
        return replace(dialect, **{self.field: self.values[at]}) if at < len(self.values) else None


RULES = (
    _Rule("max_tokens_key", ("max_tokens", "max_completion_tokens"), r"\bmax_tokens\b"),
    _Rule("send_seed", (True, False), r"\bseed\b"),
    _Rule("send_top_p", (True, False), r"\btop_p\b"),
    _Rule("return_token_ids", (True, False), r"return_token_ids|\blogprobs\b"),
    _Rule("schema_bounds", (True, False), rf"\b({'|'.join(sorted(BOUNDS))})\b"),
    _Rule(
        "response_format",
        ("json_schema", "json_object", "none"),
        r"response_?format|response format|json_?schema|json_?object|structured output|the word .?json",
    ),
)
"""In the order in which they are tried; the first that fits is applied, and the next refusal names the next part."""

_REFUSAL = re.compile(
    r"(un|not |isn't |cannot be |n't )support|unrecogni[sz]ed|unknown|unexpected|not (permitted|allowed|accepted)"
    r"|not available|unavailable|extra (inputs|fields)|cannot both|must contain the word|does not accept"
    r"|no longer|deprecated|cannot find field",
    re.IGNORECASE,
)
"""The part is not taken at all."""

_LIMIT = re.compile(
    r"too (large|long|many|high)|maximum context|context (length|window)|at (most|least)|exceed|(less|greater) than",
    re.IGNORECASE,
)
"""The part is taken, but not with this value: no rule applies."""


@dataclass
class DialectFinder:
    """The dialect of an engine's servers. `is_known` ends the search: a refusal is then a failure."""

    params: OpenAIParams
    is_known: bool = False
    num_refusals: int = 0
    """Requests that the search has spent."""
    dialect: Dialect = field(init=False)

    def __post_init__(self) -> None:
        self.dialect = Dialect.from_params(self.params)

    def learn(self, error: AttemptError, request: GenerationRequest) -> bool:
        """Change the dialect by the first rule that fits `error`; return whether one does.

        No rule touches what the recipe's params say, or what was not sent.
        """
        message = str(error)
        if self.is_known or error.cause is not Cause.REFUSED or _LIMIT.search(message) or not _REFUSAL.search(message):
            return False
        for rule in RULES:
            is_free = getattr(self.params, rule.field) is None and re.search(rule.pattern, message, re.IGNORECASE)
            changed = rule.apply(self.dialect) if is_free else None
            if changed and write_body(request, "", changed) != write_body(request, "", self.dialect):
                self.dialect = changed
                self.num_refusals += 1
                return True
        return False
