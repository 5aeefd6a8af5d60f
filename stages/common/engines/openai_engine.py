"""The `openai` engine: any OpenAI-compatible servers, over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from stages.common.engines.concurrency import Responder, StopSignal, respond_concurrently
from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.openai_protocol import choose_path, read_completion, read_error_message, write_body
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, Response
from stages.common.engines.retry_policy import AttemptError, RetryPolicy, make_status_error
from stages.common.engines.servers import Secrets, Server, ServerPicker, read_servers
from stages.common.params.engine import EngineParams

if TYPE_CHECKING:
    from httpx2 import AsyncClient

MAX_REPLY_BYTES = 64 * 2**20
"""Bytes read of a reply, whatever length it claims: far above any completion with its token counts."""

NO_REPLY = "no reply in time"


class OpenAIKind(EngineKind):
    """Servers named by OPENAI_BASE_URL."""

    @classmethod
    def check_params(cls, params: EngineParams) -> None:
        """Any name of the model will do."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> OpenAIEngine:
        """A policy in a folder is known to servers elsewhere by its hash, which no other weights have."""
        is_folder_policy = model.hash is not None and model.revision is None
        name = params.served_model_name or (model.hash if is_folder_policy else None) or model.source
        return OpenAIEngine(name, params.concurrency, RetryPolicy(params.request_timeout_s, params.attempt_timeout_s))


class OpenAIEngine:
    """Sends requests to servers that know the model as `model_name`, with at most `concurrency` in flight.

    Servers and key come from the environment, or from `servers` where this program started them; `check_server` then
    raises `EngineError` once they have ended.
    """

    def __init__(
        self,
        model_name: str,
        concurrency: int,
        policy: RetryPolicy,
        servers: tuple[list[Server], Secrets] | None = None,
        check_server: Callable[[], None] | None = None,
    ) -> None:
        self._model_name = model_name
        self._concurrency = concurrency
        self._policy = policy
        self._servers = servers
        self._check_server = check_server

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; raise `EngineError` for a missing variable or a request that a server refuses."""
        return respond_concurrently(self._open_session, requests, self._concurrency)

    def close(self) -> None:
        """Nothing is open: connections end with each `complete`."""

    @asynccontextmanager
    async def _open_session(self, stop: StopSignal) -> AsyncIterator[Responder]:
        servers, secrets = self._servers or read_servers()
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(_make_client(server, secrets, self._concurrency)) for server in servers
            ]
            session = _Session(self._model_name, servers, clients, secrets, self._policy, stop, self._check_server)
            yield session.respond


def _make_client(server: Server, secrets: Secrets, concurrency: int) -> AsyncClient:
    from httpx2 import AsyncClient, AsyncHTTPTransport, Limits

    limits = Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    return AsyncClient(
        base_url=server.url,
        auth=server.login,
        headers={} if server.login or not secrets.key else {"Authorization": f"Bearer {secrets.key}"},
        trust_env=not server.is_local,
        limits=limits,
        transport=AsyncHTTPTransport(uds=server.socket, limits=limits) if server.socket else None,
        follow_redirects=True,
        timeout=None,  # a timeout covers a whole attempt, see `_Session`
    )


class _Session:
    """Responds to one request at a time, in as many attempts as the request's timeout allows."""

    def __init__(
        self,
        model_name: str,
        servers: list[Server],
        clients: list[AsyncClient],
        secrets: Secrets,
        policy: RetryPolicy,
        stop: StopSignal,
        check_server: Callable[[], None] | None,
    ) -> None:
        self._model_name = model_name
        self._servers = servers
        self._clients = clients
        self._secrets = secrets
        self._policy = policy
        self._stop = stop
        self._check_server = check_server
        self._picker = ServerPicker(len(servers))

    async def respond(self, request: GenerationRequest) -> Response:
        """The completion, or the failure after the request's timeout; raise `EngineError` where all must stop."""
        timeout_s = self._policy.request_timeout_s
        deadline = time.monotonic() + timeout_s
        num_attempts, last = 0, None
        while True:
            index = self._picker.pick(request.prompt_hash, num_attempts)
            left = deadline - time.monotonic()
            result = await self._attempt(index, request, min(self._policy.attempt_timeout_s, left))
            if isinstance(result, Completion):
                return result
            num_attempts += 1
            if last is None or result.kind != NO_REPLY or left >= self._policy.attempt_timeout_s:
                last = result  # an attempt that the deadline cut short says less than the one before it
            if result.is_final:
                where = self._servers[index].name
                raise EngineError(self._secrets.hide(f"model {self._model_name} at {where}: {result}"))
            if result.is_unreachable:
                self._picker.skip(index)
            if self._check_server is not None:
                self._check_server()
            delay = self._policy.choose_delay(num_attempts, result.retry_after_s)
            if time.monotonic() + delay >= deadline:
                reason = f"gave up after {num_attempts} attempts within {timeout_s:g} s; the last: {last}"
                return Failure(self._secrets.hide(reason), num_attempts, last.kind)
            await self._stop.sleep(delay)

    async def _attempt(self, index: int, request: GenerationRequest, timeout_s: float) -> Completion | AttemptError:
        from httpx2 import ConnectError, ConnectTimeout, HTTPError

        body, content = write_body(request, self._model_name), bytearray()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._clients[index].stream("POST", choose_path(request), json=body) as response,
            ):
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_REPLY_BYTES:
                        raise AttemptError("reply too long", f"more than {MAX_REPLY_BYTES} bytes")
            if not response.is_success:
                message, retry_after = read_error_message(bytes(content)), response.headers.get("retry-after")
                return make_status_error(response.status_code, response.reason_phrase, message, retry_after)
            return read_completion(response.headers.get("content-type", ""), bytes(content))
        except AttemptError as error:
            return error
        except TimeoutError:
            return AttemptError(NO_REPLY, f"{timeout_s:.3g} s")
        except HTTPError as error:
            is_unreachable = isinstance(error, (ConnectError, ConnectTimeout))
            return AttemptError(type(error).__name__, str(error), is_unreachable=is_unreachable)
