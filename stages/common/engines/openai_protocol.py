"""Requests and replies of the OpenAI API. Replies are checked here and trusted nowhere."""

from __future__ import annotations

import json
from typing import Any

from stages.common.engines.request import Completion, GenerationRequest
from stages.common.engines.retry_policy import AttemptError
from stages.common.text import replace_lone_surrogates


def choose_path(request: GenerationRequest) -> str:
    """The path below the base URL: a text is completed, a chat is answered."""
    return "/completions" if isinstance(request.prompt, str) else "/chat/completions"


def write_body(request: GenerationRequest, model_name: str) -> dict[str, Any]:
    """The body of the request to a server that knows the model as `model_name`."""
    body: dict[str, Any] = {
        "model": model_name,
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


def read_completion(content_type: str, body: bytes) -> Completion:
    """The completion in a reply of status 200; raise `AttemptError` for anything else."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type.endswith("json"):
        raise AttemptError("wrong content type", media_type[:100] or "none")
    try:
        reply = json.loads(body)
        choice = reply["choices"][0]
        text, reason = _read_choice(choice)
        usage = reply.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            text=text,
            finish_reason=reason,
            prompt_tokens=_read_count(usage.get("prompt_tokens")),
            completion_tokens=_read_count(usage.get("completion_tokens")),
            cached_tokens=_read_count(details.get("cached_tokens")),
            model=str(reply.get("model"))[:200],
        )
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
        raise AttemptError("reply is not JSON", type(error).__name__) from None
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise AttemptError("reply is no completion", type(error).__name__) from None


def _read_choice(choice: dict[str, Any]) -> tuple[str, str]:
    reason = str(choice["finish_reason"])[:50]
    if "message" not in choice:
        return _read_text(choice["text"]), reason
    message = choice["message"]
    if message.get("refusal"):
        return _read_text(message["refusal"]), "refusal"
    return _read_text(message["content"] or ""), reason  # null after a tool call or an empty answer


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return replace_lone_surrogates(value)


def _read_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def read_error_message(body: bytes) -> str:
    """The message in an error reply, or the reply's own text where it has no known form."""
    text = body[:10_000].decode("utf-8", "replace")
    try:
        value = json.loads(body[:100_000])
    except (ValueError, RecursionError):
        return text
    for _ in range(3):  # {"error": {"message": ...}} of OpenAI, {"message": ...} and {"detail": ...} of others
        if isinstance(value, dict):
            value = next((value[name] for name in ("error", "message", "detail") if value.get(name)), None)
    return value[:10_000] if isinstance(value, str) else text
