"""The `openai` engine: any OpenAI-compatible servers, through the openai package."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from stages.common.engines.concurrency import Cancelled, Responder, StopSignal, respond_concurrently
from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.openai_dialect import DialectFinder, write_body
from stages.common.engines.openai_protocol import bound_reply, hide_client, read_status_error, send_request
from stages.common.engines.openai_reply import read_completion
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, Response
from stages.common.engines.retry_policy import AttemptError, Cause, RetryPolicy
from stages.common.engines.servers import URLS_VARIABLE, Secrets, Server, ServerPicker, read_servers
from stages.common.errors import describe_error
from stages.common.params.engine import EngineParams, OpenAIParams
from stages.common.runs import record_facts

if TYPE_CHECKING:
    from httpx2 import HTTPError
    from openai import AsyncOpenAI, OpenAIError

logger = logging.getLogger(__name__)

NO_REPLY = "no reply in time"

CONNECT_TIMEOUT_S = 30.0
"""Seconds that a server may take to accept a connection."""

MAX_MALFORMED = 3
"""Attempts at one request whose replies may be no completions before any request has succeeded."""

MAX_REFUSED = 8
"""Requests that may be refused before any has succeeded: not one bad row, but the server's dialect or the params."""

MAX_WITHOUT_THINKING = 8
"""Completions whose schema is to hold after the thinking and that hold none, before any that does."""


class OpenAIKind(EngineKind):
    """Servers named by OPENAI_BASE_URL."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> OpenAIEngine:
        """A policy in a folder is known to servers elsewhere by its hash, which no other weights have."""
        is_folder_policy = model.hash is not None and model.revision is None
        name = params.served_model_name or (model.hash if is_folder_policy else None) or model.source
        policy = RetryPolicy(params.request_timeout_s, params.attempt_timeout_s)
        return OpenAIEngine(name, params.concurrency, policy, params=params.openai)


@dataclass
class _History:
    """What an engine knows of its servers, over all streams of requests."""

    num_completions: int = 0
    num_refused: int = 0
    num_without_thinking: int = 0
    has_thinking: bool = False
    """Whether a completion has shown that the model thinks before a schema holds."""
    reached: set[int] = field(default_factory=set)
    """Servers that have replied anything."""
    unreachable: set[int] = field(default_factory=set)
    reported: set[tuple[int, str]] = field(default_factory=set)
    """Kinds of errors, by server, that the user was told of."""

    def count(self, request: GenerationRequest, completion: Completion) -> None:
        """Note a completion; one that begins with the JSON, without thinking beside it, holds none."""
        self.num_completions += 1
        if request.schema_after_reasoning:
            is_bare = completion.reasoning is None and completion.text.lstrip().startswith("{")
            self.has_thinking |= not is_bare
            self.num_without_thinking += is_bare


class OpenAIEngine:
    """Sends requests to servers that know the model as `model_name`, with at most `concurrency` in flight.

    Servers and key come from the environment, or from `servers` where this program started them; `check_server` then
    raises `EngineError` once they have ended, and `write` makes the body of a request from it and the model's name.
    Else the first request goes alone, and finds what the servers take besides what `params` say.
    """

    def __init__(
        self,
        model_name: str,
        concurrency: int,
        policy: RetryPolicy,
        servers: tuple[list[Server], Secrets] | None = None,
        check_server: Callable[[], None] = lambda: None,
        write: Callable[[GenerationRequest, str], dict[str, Any]] | None = None,
        params: OpenAIParams | None = None,
    ) -> None:
        self.model_name = model_name
        self.policy = policy
        self.check_server = check_server
        self.dialect = DialectFinder(params or OpenAIParams(), is_known=servers is not None)
        self.write = write or (lambda request, name: write_body(request, name, self.dialect.dialect))
        self.history = _History()
        self._concurrency = concurrency
        self._servers = servers

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; raise `EngineError` for a missing variable and where no request can succeed."""
        return respond_concurrently(self._open_session, requests, self._concurrency)

    def close(self) -> None:
        """Nothing is open: connections end with each `complete`."""

    @asynccontextmanager
    async def _open_session(self, stop: StopSignal) -> AsyncIterator[Responder]:
        servers, secrets = self._servers or read_servers()
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(make_client(server, secrets, self._concurrency)) for server in servers
            ]
            yield _Session(self, servers, clients, secrets, stop).respond


def make_client(server: Server, secrets: Secrets, concurrency: int, max_reply_bytes: int | None = None) -> AsyncOpenAI:
    """A client of `server`, to be closed, that repeats nothing; `max_reply_bytes` is as in `bound_reply`."""
    from httpx2 import AsyncHTTPTransport, Limits, Timeout
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    limits = Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http_client = DefaultAsyncHttpxClient(
        auth=server.login,  # replaces the key
        headers={"Accept-Encoding": "identity"},  # see `bound_reply`
        trust_env=not server.is_local,
        follow_redirects=False,  # prompts go where the user says, or nowhere
        limits=limits,
        transport=AsyncHTTPTransport(uds=server.socket, limits=limits) if server.socket else None,
        event_hooks={"request": [hide_client], "response": [partial(bound_reply, max_bytes=max_reply_bytes)]},
    )
    # The package requires a key, also where the server does not.
    return AsyncOpenAI(
        api_key=secrets.key or "none",
        base_url=server.url,
        http_client=http_client,
        max_retries=0,
        timeout=Timeout(None, connect=CONNECT_TIMEOUT_S),
    )


@dataclass
class _Session:
    """Responds to one request at a time, in as many attempts as the request's timeout allows."""

    engine: OpenAIEngine
    servers: list[Server]
    clients: list[AsyncOpenAI]
    secrets: Secrets
    stop: StopSignal

    def __post_init__(self) -> None:
        self._picker = ServerPicker(len(self.servers))
        self._first = asyncio.Lock()

    async def respond(self, request: GenerationRequest) -> Response:
        """The completion, or the failure after the request's timeout; raise `EngineError` where all must stop."""
        finder = self.engine.dialect
        if not finder.is_known:
            async with self._first:
                if self.stop.is_set():
                    raise Cancelled
                if not finder.is_known:
                    num_refused = self.engine.history.num_refused
                    response = await self._respond(request)
                    finder.is_known = self.engine.history.num_refused == num_refused
                    self._report_dialect()
                    return response
        return await self._respond(request)

    def _report_dialect(self) -> None:
        """Record what the servers take, where it is not what the API was."""
        finder = self.engine.dialect
        if finder.is_known and (changed := finder.dialect.describe()):
            record_facts(dialects={self.engine.model_name: changed})
            if finder.num_refusals:
                found = "engine.openai: {%s}, found with %d refused requests; set it in the recipe to send none"
                logger.warning(f"model %s: {found}", self.engine.model_name, changed, finder.num_refusals)

    async def _respond(self, request: GenerationRequest) -> Response:
        policy, history = self.engine.policy, self.engine.history
        self._check_thinking()
        deadline = time.monotonic() + policy.request_timeout_s
        num_attempts, last = 0, None
        while True:
            index = self._picker.pick(request.prompt_hash, num_attempts)
            left = deadline - time.monotonic()
            result = await self._attempt(index, request, min(policy.attempt_timeout_s, left))
            if isinstance(result, Completion):
                history.count(request, result)
                return result
            num_attempts += 1
            if self.engine.dialect.learn(result, request):
                continue
            if last is None or result.kind != NO_REPLY or left >= policy.attempt_timeout_s:
                last = result  # an attempt that the deadline cut short says less than the one before it
            self.engine.check_server()
            if self._is_hopeless(index, result, num_attempts):
                raise EngineError(self._describe(index, result))
            delay = policy.choose_delay(num_attempts, result.retry_after_s)
            if result.cause is Cause.REFUSED:
                reason = self.secrets.hide_before(str(result), result.hint)
            elif time.monotonic() + delay >= deadline:
                reason = self.secrets.hide(
                    f"gave up after {num_attempts} attempts within {policy.request_timeout_s:g} s; the last: {last}"
                )
            else:
                self._report_once(index, result, f"trying again, for up to {policy.request_timeout_s:g} s per request")
                await self.stop.sleep(delay)
                continue
            self._report_once(index, last, "the request has failed")
            return Failure(reason, num_attempts, last.kind)

    def _check_thinking(self) -> None:
        """Raise `EngineError` where schemas that are to hold after the thinking have left no room for any."""
        history = self.engine.history
        if not history.has_thinking and history.num_without_thinking >= MAX_WITHOUT_THINKING:
            raise EngineError(
                f"model {self.engine.model_name}: {history.num_without_thinking} completions without thinking: the "
                "schema holds from the first token; start the server with a reasoning parser, or have it reason in JSON"
            )

    def _is_hopeless(self, index: int, error: AttemptError, num_attempts: int) -> bool:
        """Note `error` of server `index`, and tell whether no request will ever succeed."""
        history = self.engine.history
        if error.cause is Cause.UNREACHABLE:
            self._picker.skip(index)
            history.unreachable.add(index)
        else:
            history.reached.add(index)
        history.num_refused += error.cause is Cause.REFUSED
        if error.cause is Cause.FINAL or history.num_completions:
            return error.cause is Cause.FINAL
        return (
            (not history.reached and len(history.unreachable) == len(self.servers))
            or (error.cause is Cause.MALFORMED and num_attempts >= MAX_MALFORMED)
            or history.num_refused >= MAX_REFUSED
        )

    def _report_once(self, index: int, error: AttemptError, outcome: str) -> None:
        """Say the first error of each kind of each server; reports count the rest."""
        if (index, error.kind) not in self.engine.history.reported:
            self.engine.history.reported.add((index, error.kind))
            logger.warning("%s; %s (said once)", self._describe(index, error), outcome)

    def _describe(self, index: int, error: AttemptError) -> str:
        text = f"model {self.engine.model_name} at {self.servers[index].name}: {error}"
        return self.secrets.hide_before(text, error.hint)

    async def _attempt(self, index: int, request: GenerationRequest, timeout_s: float) -> Completion | AttemptError:
        from openai import OpenAIError

        try:
            body = self.engine.write(request, self.engine.model_name)
            async with asyncio.timeout(timeout_s):
                content_type, reply = await send_request(self.clients[index], body)
            return read_completion(content_type, reply)
        except (AttemptError, TimeoutError, OpenAIError) as error:
            return read_error(error, timeout_s)


def read_error(error: AttemptError | TimeoutError | OpenAIError | HTTPError, timeout_s: float) -> AttemptError:
    """What an attempt with the timeout `timeout_s` failed by."""
    from httpx2 import ConnectError, ConnectTimeout
    from openai import APIStatusError

    if isinstance(error, AttemptError):
        return error
    if isinstance(error, TimeoutError):
        return AttemptError(NO_REPLY, f"{timeout_s:.3g} s")
    if isinstance(error, APIStatusError):
        return read_status_error(error)
    cause = error.__cause__ or error
    if not isinstance(cause, (ConnectError, ConnectTimeout)):
        return AttemptError(type(cause).__name__, str(cause))
    hint = f"start the server, or correct its address in {URLS_VARIABLE}"
    return AttemptError("no connection", _describe_root(cause), Cause.UNREACHABLE, hint)


def _describe_root(error: BaseException) -> str:
    """What the system said: the HTTP client wraps it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner
    return os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else describe_error(error)
