"""No reply is read beyond a bound, whatever length it claims and whatever its status is."""

from __future__ import annotations

from collections.abc import AsyncIterator

from httpx2 import AsyncByteStream, Response

from stages.common.engines.retry_policy import AttemptError

MAX_REPLY_BYTES = 64 * 2**20
"""Bytes read of a reply: far above any completion with its token counts."""


class _BoundedStream(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        num_bytes = 0
        async for chunk in self._stream:
            num_bytes += len(chunk)
            if num_bytes > MAX_REPLY_BYTES:
                raise AttemptError("reply too long", f"more than {MAX_REPLY_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound_reply(response: Response) -> None:
    """A response hook of an HTTP client: reading the body raises `AttemptError` after `MAX_REPLY_BYTES`.

    A compressed body, which would have no bound, is not read; a charset that the server names is ignored.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise AttemptError("compressed reply", encoding[:100])
    assert isinstance(response.stream, AsyncByteStream)
    response.stream = _BoundedStream(response.stream)
    response.encoding = "utf-8"  # JSON's, while some codecs that a header may name do not give text
