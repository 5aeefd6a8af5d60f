"""No reply is read beyond a bound, whatever length it claims or turns out to have."""

from __future__ import annotations

from collections.abc import AsyncIterator

from httpx2 import AsyncByteStream, Response

from stages.common.engines.retry import Trouble

LONGEST_REPLY = 64 * 2**20
"""Bytes: far above any completion with its token counts."""


class _Bounded(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._stream:
            seen += len(part)
            if seen > self._most:
                raise Trouble("reply too long", f"more than {self._most} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound_reply(response: Response) -> None:
    """A response hook for the client: its body ends in `Trouble` past `LONGEST_REPLY` bytes, before decompression."""
    assert isinstance(response.stream, AsyncByteStream)
    response.stream = _Bounded(response.stream, LONGEST_REPLY)
