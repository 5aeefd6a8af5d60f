"""The `fake` engine: texts made from the request's hash, after a set time, with set faults. For tests and dry runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from stages.common.engines.request import Answered, Completion, Failure, Request, Result
from stages.common.engines.window import Answer, Stopping, answer_all
from stages.common.tables import content_hash

CHARACTERS_PER_TOKEN = 4
"""What a fake token is."""

DEEPEST = 8
"""Levels to which a schema is filled in."""


class FakeEngine:
    """Answers after `latency_s`; a share `failing` fails for good, a share `cut` ends by length.

    Which ones, and every text, follow from the request's hash alone, so two runs agree to the byte. `reply` makes the
    text instead where a test wants one of its own.
    """

    def __init__(
        self,
        concurrency: int,
        latency_s: float = 0.0,
        failing: float = 0.0,
        cut: float = 0.0,
        reply: Callable[[Request], str] | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._latency_s = latency_s
        self._failing = failing
        self._cut = cut
        self._reply = reply or fake_text

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """See `Engine.complete`."""
        if self._latency_s:
            yield from answer_all(self._open, requests, self._concurrency)
        else:
            for request in requests:
                yield request, self._answer(request)

    def close(self) -> None:
        """Nothing is open."""

    @asynccontextmanager
    async def _open(self, _stopping: Stopping) -> AsyncIterator[Answer]:
        async def answer(request: Request) -> Result:
            await asyncio.sleep(self._latency_s)
            return self._answer(request)

        yield answer

    def _answer(self, request: Request) -> Result:
        if _share("failing", request) < self._failing:
            return Failure("fake fault", 1, "fake fault")
        text = self._reply(request)
        cut = _share("cut", request) < self._cut
        if cut:
            text = text[: len(text) // 2]
        prompt = request.prompt if isinstance(request.prompt, str) else "".join(m["content"] for m in request.prompt)
        return Completion(
            text=text,
            finish_reason="length" if cut else "stop",
            prompt_tokens=-(-len(prompt) // CHARACTERS_PER_TOKEN),
            completion_tokens=-(-len(text) // CHARACTERS_PER_TOKEN),
            cached_tokens=0,
            model="fake",
        )


def _share(purpose: str, request: Request) -> float:
    """A number in [0, 1) that is the request's own."""
    return int(content_hash(purpose, request.key, digits=12), 16) / 16**12


def fake_text(request: Request) -> str:
    """A short solution with steps and a boxed answer, or what the request's schema asks for."""
    draw = _Draw(request.key)
    if request.schema is not None:
        return json.dumps(fake_value(request.schema, draw))
    total, lines = draw.below(90) + 10, []
    for number in range(1, draw.below(4) + 2):
        other = draw.below(9) + 1
        lines.append(f"Step {number}: {total} + {other} = {total + other}")
        total += other
    return "\n".join([*lines, f"The answer is \\boxed{{{total}}}"])


def fake_value(schema: Mapping[str, Any], draw: _Draw, depth: int = 0) -> Any:
    """A value that fits `schema` (type, properties, items, enum, const, anyOf and bounds of length); else null."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][draw.below(len(schema["enum"]))]
    if "anyOf" in schema:
        return fake_value(schema["anyOf"][draw.below(len(schema["anyOf"]))], draw, depth)
    kind = schema.get("type")
    if kind == "object" and depth < DEEPEST:
        return {name: fake_value(part, draw, depth + 1) for name, part in schema.get("properties", {}).items()}
    if kind == "array" and depth < DEEPEST:
        least = schema.get("minItems", 1)
        count = least + draw.below(schema.get("maxItems", least) - least + 1)
        return [fake_value(schema.get("items", {}), draw, depth + 1) for _ in range(count)]
    if kind == "integer":
        least = schema.get("minimum", 0)
        return least + draw.below(schema.get("maximum", least + 9) - least + 1)
    return {"boolean": draw.below(2) == 1, "number": float(draw.below(10)), "string": f"fake {draw.below(1000)}"}.get(
        str(kind)
    )


class _Draw:
    """Numbers that follow from a hash."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._count = 0

    def below(self, limit: int) -> int:
        """The next number in [0, limit)."""
        self._count += 1
        return int(content_hash("draw", self._key, self._count, digits=12), 16) % limit
