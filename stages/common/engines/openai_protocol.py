"""HTTP of the OpenAI API: what goes out with a request, how far a reply is read, and what an error reply says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from httpx2 import AsyncByteStream, Request, Response

from stages.common.engines.openai_reply import MAX_ERROR_CHARS, read_media_type
from stages.common.engines.retry_policy import AttemptError, Cause, make_status_error

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

MAX_REPLY_BYTES = 64 * 2**20
"""Bytes read of a reply: far above any completion with its token counts."""


async def send_request(client: AsyncOpenAI, body: dict[str, Any]) -> tuple[str, bytes]:
    """Content type and body of the reply: a prompt is completed, a chat is answered; raise `openai.APIError`."""
    path = "/completions" if "prompt" in body else "/chat/completions"
    reply = await client.post(path, cast_to=Response, body=body)
    return reply.headers.get("content-type", ""), reply.content


async def hide_client(request: Request) -> None:
    """A request hook of an HTTP client: remove what the openai package tells of this machine and its user.

    Organisation and project, which it takes from the environment, are for OpenAI alone.
    """
    is_openai = request.url.host.endswith(".openai.com")
    for name in list(request.headers):
        if name.startswith("x-stainless-") or (name.startswith("openai-") and not is_openai):
            del request.headers[name]


class _BoundedStream(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        num_bytes = 0
        async for chunk in self._stream:
            num_bytes += len(chunk)
            if num_bytes > self._max_bytes:
                raise AttemptError("reply too long", f"more than {self._max_bytes} bytes", Cause.MALFORMED)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound_reply(response: Response, max_bytes: int | None = None) -> None:
    """A response hook of an HTTP client: no reply, whatever length it claims, is read beyond `max_bytes`, by default
    `MAX_REPLY_BYTES`.

    Reading on raises `AttemptError`. A compressed body or a stream of events, which have no bound, is not read at all;
    a charset that the server names is ignored.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise AttemptError("compressed reply", encoding[:100], Cause.MALFORMED)
    if read_media_type(response.headers.get("content-type", "")) == "text/event-stream":
        raise AttemptError("reply is a stream of events", "", Cause.FINAL, "switch streaming off at the server")
    assert isinstance(response.stream, AsyncByteStream)
    response.stream = _BoundedStream(response.stream, max_bytes or MAX_REPLY_BYTES)
    response.encoding = "utf-8"  # JSON's, while some codecs that a header may name do not give text


def read_status_error(error: APIStatusError) -> AttemptError:
    """What a reply of status 300 or more stands for, with its message or, where it has none, its text."""
    body, response = error.body, error.response
    if isinstance(body, dict):  # the package has unwrapped {"error": ...} of OpenAI; {"detail": ...} is others'
        body = body.get("message") or body.get("detail")
    if isinstance(body, list):  # FastAPI's, which may repeat the whole request in each line
        lines = [line for line in body if isinstance(line, dict)]
        body = "; ".join(f"{line.get('loc')}: {line.get('msg')}" for line in lines) or None
    message = (body if isinstance(body, str) else response.text)[:MAX_ERROR_CHARS]
    return make_status_error(error.status_code, response.reason_phrase, message, response.headers.get("retry-after"))
