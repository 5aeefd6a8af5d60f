"""The `openai` engine: any OpenAI-compatible servers, through the openai package."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from stages.common.engines.clients import Clients, open_clients
from stages.common.engines.endpoints import Endpoint, Rota, Secrets, from_environment
from stages.common.engines.errors import EngineError
from stages.common.engines.request import Answered, Completion, Failure, Request, Result
from stages.common.engines.retry import Patience, Trouble, trouble_of_status
from stages.common.engines.window import Answer, Stopping, answer_all
from stages.common.engines.wire import body_of, completion_of, path_of, said

NO_ANSWER = "no answer in time"


class OpenAIEngine:
    """Asks servers that know the model as `served`, with at most `concurrency` requests in flight.

    Servers and key come from the environment, or from `servers` where this program started them itself; `check` then
    raises `EngineError` once they have ended.
    """

    def __init__(
        self,
        served: str,
        concurrency: int,
        patience: Patience,
        servers: tuple[list[Endpoint], Secrets] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._served = served
        self._concurrency = concurrency
        self._patience = patience
        self._servers = servers
        self._check = check

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """See `Engine.complete`; raises `EngineError` for a missing variable, or where a server refuses for good."""
        return answer_all(self._open, requests, self._concurrency)

    def close(self) -> None:
        """Connections are closed with each `complete`; there is nothing else."""

    @asynccontextmanager
    async def _open(self, stopping: Stopping) -> AsyncIterator[Answer]:
        endpoints, secrets = self._servers or from_environment()
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(open_clients(endpoint, secrets, self._concurrency))
                for endpoint in endpoints
            ]
            yield _Asker(clients, endpoints, secrets, self._served, self._patience, stopping, self._check).answer


class _Asker:
    """Answers one request at a time, by as many tries as its deadline allows."""

    def __init__(
        self,
        clients: list[Clients],
        endpoints: list[Endpoint],
        secrets: Secrets,
        served: str,
        patience: Patience,
        stopping: Stopping,
        check: Callable[[], None] | None,
    ) -> None:
        self._clients = clients
        self._endpoints = endpoints
        self._secrets = secrets
        self._served = served
        self._patience = patience
        self._stopping = stopping
        self._check = check
        self._rota = Rota(len(clients))

    async def answer(self, request: Request) -> Result:
        """The completion, or the failure once the deadline has passed; raises `EngineError` where all must stop."""
        deadline = time.monotonic() + self._patience.deadline_s
        tries, last = 0, None
        while True:
            at = self._rota.choose(request.family, tries)
            left = deadline - time.monotonic()
            result = await self._try(at, request, left)
            if isinstance(result, Completion):
                return result
            tries += 1
            if last is None or result.kind != NO_ANSWER or left >= self._patience.try_s:
                last = result  # a try that the deadline cut short says less than the one before it
            if result.stop:
                where = self._endpoints[at].name
                raise EngineError(self._secrets.clean(f"model {self._served} at {where}: {result}"))
            if result.unreachable:
                self._rota.shun(at)
            if self._check is not None:
                self._check()
            pause = self._patience.pause(tries, result.asked_for)
            if time.monotonic() + pause >= deadline:
                limit = f"gave up after {tries} tries within {self._patience.deadline_s:g} s; the last: {last}"
                return Failure(self._secrets.clean(limit), tries, last.kind)
            await self._stopping.pause(pause)

    async def _try(self, at: int, request: Request, left: float) -> Completion | Trouble:
        """One try at server `at`, with `left` seconds to the deadline."""
        import openai
        from httpx2 import ConnectError, ConnectTimeout, Response

        seconds = min(self._patience.try_s, left)
        try:
            with self._clients[at].one() as client:
                async with asyncio.timeout(seconds):
                    response = await client.post(
                        path_of(request), cast_to=Response, body=body_of(request, self._served)
                    )
            return completion_of(response.headers.get("content-type", ""), response.content)
        except Trouble as trouble:
            return trouble
        except (TimeoutError, openai.APITimeoutError):
            return Trouble(NO_ANSWER, f"{seconds:.3g} s")
        except openai.APIStatusError as error:
            answer = error.response
            return trouble_of_status(answer.status_code, answer.reason_phrase, said(answer.content), answer.headers)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            return Trouble(
                type(cause).__name__, str(cause), unreachable=isinstance(cause, (ConnectError, ConnectTimeout))
            )
