"""Requests and replies in the form of the OpenAI API. Replies are checked here and nowhere trusted."""

from __future__ import annotations

import json
from typing import Any

from stages.common.engines.request import Completion, Request
from stages.common.engines.retry import Trouble


def path_of(request: Request) -> str:
    """Path below the base URL: a text is continued, a chat answered."""
    return "/completions" if isinstance(request.prompt, str) else "/chat/completions"


def body_of(request: Request, served: str) -> dict[str, Any]:
    """Body of the request to a server that knows the model as `served`."""
    body: dict[str, Any] = {
        "model": served,
        "prompt" if isinstance(request.prompt, str) else "messages": request.prompt,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.schema is not None:
        schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def completion_of(content_type: str, body: bytes) -> Completion:
    """The completion in a reply of status 200; raises `Trouble` for what is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if not kind.endswith("json"):
        raise Trouble("wrong content type", kind[:100] or "none")
    try:
        reply = json.loads(body)
        choice = reply["choices"][0]
        text, reason = _text_and_reason(choice)
        usage = reply.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            text=text,
            finish_reason=reason,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            cached_tokens=_count(details.get("cached_tokens")),
            model=str(reply.get("model"))[:200],
        )
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
        raise Trouble("reply is not JSON", type(error).__name__) from None
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Trouble("reply is no completion", type(error).__name__) from None


def _text_and_reason(choice: dict[str, Any]) -> tuple[str, str]:
    reason = str(choice["finish_reason"])[:50]
    if "message" not in choice:
        return _text(choice["text"]), reason
    message = choice["message"]
    if message.get("refusal"):
        return _text(message["refusal"]), "refusal"
    return _text(message["content"] or ""), reason  # null where a tool was called or nothing was said


def _text(value: Any) -> str:
    """`value` as text that every table can hold: half characters, which JSON can spell, become U+FFFD."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value if value.isascii() else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def said(body: bytes) -> str:
    """What an error reply says, as far as it can be told."""
    text = body[:10_000].decode("utf-8", "replace")
    try:
        value = json.loads(body[:100_000])
    except (ValueError, RecursionError):
        return text
    for _ in range(3):  # {"error": {"message": ...}} of OpenAI, {"message": ...} and {"detail": ...} of others
        if isinstance(value, dict):
            value = next((value[name] for name in ("error", "message", "detail") if value.get(name)), None)
    return value[:10_000] if isinstance(value, str) else text
