"""Requests and replies of the OpenAI API. Replies are checked here and trusted nowhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from httpx2 import AsyncByteStream, Request, Response

from stages.common.engines.request import Completion, GenerationRequest
from stages.common.engines.retry_policy import AttemptError, Cause, make_status_error
from stages.common.text import replace_lone_surrogates

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

MAX_ERROR_CHARS = 10_000
"""Characters kept of an error reply."""

MAX_REPLY_BYTES = 64 * 2**20
"""Bytes read of a reply: far above any completion with its token counts."""

_CHECK_ADDRESS = "check that OPENAI_BASE_URL is the address of an OpenAI-compatible server; most end in /v1"


async def send_request(client: AsyncOpenAI, body: dict[str, Any]) -> tuple[str, bytes]:
    """Content type and body of the reply: a prompt is completed, a chat is answered; raise `openai.APIError`."""
    path = "/completions" if "prompt" in body else "/chat/completions"
    reply = await client.post(path, cast_to=Response, body=body)
    return reply.headers.get("content-type", ""), reply.content


def write_body(request: GenerationRequest, model_name: str) -> dict[str, Any]:
    """The body of a request to a server that knows the model as `model_name`."""
    body: dict[str, Any] = {
        "model": model_name,
        "prompt" if isinstance(request.prompt, str) else "messages": request.prompt,
        "max_tokens": request.max_tokens,
    }
    optional = {"temperature": request.temperature, "top_p": request.top_p, "seed": request.seed}
    body |= {name: value for name, value in optional.items() if value is not None} | dict(request.extra_body)
    if request.stop:
        body["stop"] = list(request.stop)
    if request.schema is not None:
        schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


async def hide_client(request: Request) -> None:
    """A request hook of an HTTP client: remove what the openai package tells of this machine and its user.

    Organisation and project, which it takes from the environment, are for OpenAI alone.
    """
    is_openai = request.url.host.endswith(".openai.com")
    for name in list(request.headers):
        if name.startswith("x-stainless-") or (name.startswith("openai-") and not is_openai):
            del request.headers[name]


class _BoundedStream(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        num_bytes = 0
        async for chunk in self._stream:
            num_bytes += len(chunk)
            if num_bytes > MAX_REPLY_BYTES:
                raise AttemptError("reply too long", f"more than {MAX_REPLY_BYTES} bytes", Cause.MALFORMED)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound_reply(response: Response) -> None:
    """A response hook of an HTTP client: no reply, whatever length it claims, is read beyond `MAX_REPLY_BYTES`.

    Reading on raises `AttemptError`. A compressed body or a stream of events, which have no bound, is not read at all;
    a charset that the server names is ignored.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise AttemptError("compressed reply", encoding[:100], Cause.MALFORMED)
    if _read_media_type(response.headers.get("content-type", "")) == "text/event-stream":
        raise AttemptError("reply is a stream of events", "", Cause.FINAL, "switch streaming off at the server")
    assert isinstance(response.stream, AsyncByteStream)
    response.stream = _BoundedStream(response.stream)
    response.encoding = "utf-8"  # JSON's, while some codecs that a header may name do not give text


def _read_media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def read_completion(content_type: str, body: bytes) -> Completion:
    """The completion in a reply of status 200; raise `AttemptError` for anything else."""
    media_type = _read_media_type(content_type)
    if not media_type.endswith("json"):
        raise AttemptError("wrong content type", media_type[:100] or "none", Cause.MALFORMED, _CHECK_ADDRESS)
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
            model=", ".join(str(reply[key])[:200] for key in ("model", "system_fingerprint") if reply.get(key)),
        )
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
        raise AttemptError("reply is not JSON", type(error).__name__, Cause.MALFORMED, _CHECK_ADDRESS) from None
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise AttemptError("reply is no completion", type(error).__name__, Cause.MALFORMED, _CHECK_ADDRESS) from None


def _read_choice(choice: dict[str, Any]) -> tuple[str, str]:
    reason = str(choice["finish_reason"])[:50]
    if "message" not in choice:
        return _read_text(choice["text"]), reason
    message = choice["message"]
    if message.get("refusal"):
        return _read_text(message["refusal"]), "refusal"
    if isinstance(message["content"], list):
        cure = "have it reply with plain text (in vLLM and gateways, without content parts)"
        raise AttemptError("content is a list of parts", "", Cause.FINAL, cure)
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
