"""Connections to one server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from stages.common.engines.bound import bound_reply
from stages.common.engines.endpoints import Endpoint, Secrets

if TYPE_CHECKING:
    from openai import AsyncOpenAI

POOL = 16
"""Connections of one client. Its pool goes through all of them with each request: with 512 in one pool a request costs
twice the time on a core."""


class Clients:
    """As many small clients as hold `concurrency` connections, each lent to so many requests at a time."""

    def __init__(self, clients: list[AsyncOpenAI], concurrency: int) -> None:
        self._free = [client for client in clients for _ in range(POOL)][:concurrency]

    @contextmanager
    def one(self) -> Iterator[AsyncOpenAI]:
        """A client with a connection to spare, the one used last: it is open already."""
        client = self._free.pop()
        try:
            yield client
        finally:
            self._free.append(client)


@asynccontextmanager
async def open_clients(endpoint: Endpoint, secrets: Secrets, concurrency: int) -> AsyncIterator[Clients]:
    """Clients for `concurrency` requests at once; their connections are closed with the block."""
    from httpx2 import create_ssl_context

    trust = create_ssl_context(trust_env=not endpoint.local)  # takes long to load, so once
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(_client(endpoint, secrets, trust)) for _ in range(-(-concurrency // POOL))
        ]
        yield Clients(opened, concurrency)


def _client(endpoint: Endpoint, secrets: Secrets, trust: ssl.SSLContext) -> AsyncOpenAI:
    from httpx2 import AsyncHTTPTransport, Limits
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    limits = Limits(max_connections=POOL, max_keepalive_connections=POOL)
    http = DefaultAsyncHttpxClient(
        auth=endpoint.login,
        trust_env=not endpoint.local,
        verify=trust,
        limits=limits,
        transport=AsyncHTTPTransport(uds=endpoint.socket, limits=limits) if endpoint.socket else None,
        event_hooks={"response": [bound_reply]},
    )
    # The package wants a key even for a server that wants none. Deadlines and tries are kept by us.
    return AsyncOpenAI(
        api_key=secrets.key or "none", base_url=endpoint.url, http_client=http, max_retries=0, timeout=None
    )
