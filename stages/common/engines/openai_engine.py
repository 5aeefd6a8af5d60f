"""The `openai` engine: any OpenAI-compatible servers, through the openai package."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from stages.common.engines.concurrency import Responder, StopSignal, respond_concurrently
from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.openai_protocol import read_completion, read_status_error, send_request
from stages.common.engines.reply_bound import bound_reply
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, Response
from stages.common.engines.retry_policy import AttemptError, RetryPolicy
from stages.common.engines.servers import Secrets, Server, ServerPicker, read_servers
from stages.common.params.engine import EngineParams

if TYPE_CHECKING:
    from openai import AsyncOpenAI

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


def _make_client(server: Server, secrets: Secrets, concurrency: int) -> AsyncOpenAI:
    from httpx2 import AsyncHTTPTransport, Limits
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    limits = Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http_client = DefaultAsyncHttpxClient(
        auth=server.login,  # replaces the key
        headers={"Accept-Encoding": "identity"},  # see `bound_reply`
        trust_env=not server.is_local,
        limits=limits,
        transport=AsyncHTTPTransport(uds=server.socket, limits=limits) if server.socket else None,
        event_hooks={"response": [bound_reply]},
    )
    # The package requires a key, also where the server does not. `_Session` retries, and its timeout covers an attempt.
    return AsyncOpenAI(
        api_key=secrets.key or "none", base_url=server.url, http_client=http_client, max_retries=0, timeout=None
    )


class _Session:
    """Responds to one request at a time, in as many attempts as the request's timeout allows."""

    def __init__(
        self,
        model_name: str,
        servers: list[Server],
        clients: list[AsyncOpenAI],
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
        from httpx2 import ConnectError, ConnectTimeout
        from openai import APIConnectionError, APIStatusError

        try:
            async with asyncio.timeout(timeout_s):
                content_type, body = await send_request(self._clients[index], request, self._model_name)
            return read_completion(content_type, body)
        except AttemptError as error:
            return error
        except TimeoutError:
            return AttemptError(NO_REPLY, f"{timeout_s:.3g} s")
        except APIStatusError as error:
            return read_status_error(error)
        except APIConnectionError as error:
            cause = error.__cause__ or error
            is_unreachable = isinstance(cause, (ConnectError, ConnectTimeout))
            return AttemptError(type(cause).__name__, str(cause), is_unreachable=is_unreachable)
