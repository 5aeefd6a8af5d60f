"""Requests and replies of the OpenAI API. Replies are checked here and trusted nowhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stages.common.engines.request import Completion, GenerationRequest
from stages.common.engines.retry_policy import AttemptError, make_status_error
from stages.common.text import replace_lone_surrogates

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

MAX_ERROR_CHARS = 10_000
"""Characters kept of an error reply."""


async def send_request(client: AsyncOpenAI, request: GenerationRequest, model_name: str) -> tuple[str, bytes]:
    """Content type and body of the reply: a text is completed, a chat is answered; raise `openai.APIError`."""
    resource: Any = client.completions if isinstance(request.prompt, str) else client.chat.completions
    reply = await resource.with_raw_response.create(**write_params(request, model_name))
    return reply.headers.get("content-type", ""), reply.http_response.content


def write_params(request: GenerationRequest, model_name: str) -> dict[str, Any]:
    """The arguments of `create`, for a server that knows the model as `model_name`."""
    params: dict[str, Any] = {
        "model": model_name,
        "prompt" if isinstance(request.prompt, str) else "messages": request.prompt,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
    }
    if request.seed is not None:
        params["seed"] = request.seed
    if request.stop:
        params["stop"] = list(request.stop)
    if request.schema is not None:
        schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
        # `completions.create` has no such argument, while servers such as vLLM take it for texts too
        params["extra_body"] = {"response_format": {"type": "json_schema", "json_schema": schema}}
    return params


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


def read_status_error(error: APIStatusError) -> AttemptError:
    """What a reply of status 300 or more stands for, with its message or, where it has none, its text."""
    body, response = error.body, error.response
    if isinstance(body, dict):  # the package has unwrapped {"error": ...} of OpenAI; {"detail": ...} is others'
        body = body.get("message") or body.get("detail")
    message = (body if isinstance(body, str) else response.text)[:MAX_ERROR_CHARS]
    return make_status_error(error.status_code, response.reason_phrase, message, response.headers.get("retry-after"))
