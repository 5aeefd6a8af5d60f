"""The `mock` engine: made-up texts that follow from the request's hash, with set delays and failures, for dry runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from stages.common.engines.concurrency import Responder, StopSignal, respond_concurrently
from stages.common.engines.engine import ModelId
from stages.common.engines.kinds import EngineContext, EngineKind, MockReply
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, Response
from stages.common.params.engine import EngineParams
from stages.common.tables import hash_to_unit

CHARS_PER_TOKEN = 4

MAX_SCHEMA_DEPTH = 8
"""Levels to which a schema is filled in."""


class MockKind(EngineKind):
    """Made-up texts."""

    is_mock = True

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> MockEngine:
        """The texts are `context.mock_reply`'s, where there is one."""
        mock = params.mock
        return MockEngine(
            params.concurrency, mock.latency_s, mock.failure_rate, mock.truncation_rate, context.mock_reply
        )

    @classmethod
    def identify_model(cls, params: EngineParams, model: ModelId) -> str:
        """Never the name of a real model."""
        return f"mock {model}"


class MockEngine:
    """Responds after `latency_s`; a fraction `failure_rate` fails, a fraction `truncation_rate` is cut by length.

    Which ones, and every text, follow from the request's hash alone, so that two runs agree to the byte. `reply` makes
    the text instead where one is given.
    """

    def __init__(
        self,
        concurrency: int,
        latency_s: float = 0.0,
        failure_rate: float = 0.0,
        truncation_rate: float = 0.0,
        reply: Callable[[GenerationRequest], MockReply] | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._latency_s = latency_s
        self._failure_rate = failure_rate
        self._truncation_rate = truncation_rate
        self._reply = reply or make_mock_text

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`."""
        if self._latency_s:
            yield from respond_concurrently(self._open_session, requests, self._concurrency)
        else:
            for request in requests:
                yield request, self._respond(request)

    def close(self) -> None:
        """Nothing is open."""

    @asynccontextmanager
    async def _open_session(self, _stop: StopSignal) -> AsyncIterator[Responder]:
        async def respond(request: GenerationRequest) -> Response:
            await asyncio.sleep(self._latency_s)
            return self._respond(request)

        yield respond

    def _respond(self, request: GenerationRequest) -> Response:
        if hash_to_unit("failing", request.key) < self._failure_rate:
            return Failure("mock failure", 1, "mock failure")
        reply = self._reply(request)
        reasoning, text = (None, reply) if isinstance(reply, str) else reply
        is_truncated = hash_to_unit("cut", request.key) < self._truncation_rate
        if is_truncated:
            length = (len(text) + len(reasoning or "")) // 2
            text = text[: max(length - len(reasoning or ""), 0)]
            reasoning = reasoning and reasoning[:length]
        prompt = request.prompt if isinstance(request.prompt, str) else "".join(m["content"] for m in request.prompt)
        return Completion(
            text=text,
            finish_reason="length" if is_truncated else "stop",
            prompt_tokens=-(-len(prompt) // CHARS_PER_TOKEN),
            completion_tokens=-(-(len(text) + len(reasoning or "")) // CHARS_PER_TOKEN),
            cached_tokens=0,
            model="mock",
            reasoning=reasoning,
        )


def make_mock_text(request: GenerationRequest) -> str:
    """A short solution with steps and a boxed answer, or a value that matches the request's schema."""
    draws = Random(request.key)
    if request.schema is not None:
        return json.dumps(make_mock_value(request.schema, draws))
    total, lines = draws.randrange(10, 100), []
    for number in range(1, draws.randrange(4) + 2):
        term = draws.randrange(1, 10)
        lines.append(f"Step {number}: {total} + {term} = {total + term}")
        total += term
    return "\n".join([*lines, f"The answer is \\boxed{{{total}}}"])


def make_mock_value(schema: Mapping[str, Any], draws: Random, depth: int = 0) -> Any:
    """A value that matches `schema` (type, properties, items, enum, const, anyOf and bounds of length); else null."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draws.choice(schema["enum"])
    if "anyOf" in schema:
        return make_mock_value(draws.choice(schema["anyOf"]), draws, depth)
    kind = schema.get("type")
    if kind == "object" and depth < MAX_SCHEMA_DEPTH:
        properties = schema.get("properties", {})
        return {name: make_mock_value(value, draws, depth + 1) for name, value in properties.items()}
    if kind == "array" and depth < MAX_SCHEMA_DEPTH:
        low = schema.get("minItems", 1)
        count = draws.randint(low, schema.get("maxItems", low))
        return [make_mock_value(schema.get("items", {}), draws, depth + 1) for _ in range(count)]
    if kind == "integer":
        low = schema.get("minimum", 0)
        return draws.randint(low, schema.get("maximum", low + 9))
    if kind == "boolean":
        return draws.random() < 0.5
    if kind == "number":
        return float(draws.randrange(10))
    return f"mock {draws.randrange(1000)}" if kind == "string" else None
