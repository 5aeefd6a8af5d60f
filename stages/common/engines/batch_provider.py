"""Batches at a provider: sent once, whatever happens between here and there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from stages.common.engines.batch_api import create_batch, download_file, find_batch, poll_batch, upload_batch
from stages.common.engines.batch_backend import BatchStatus
from stages.common.engines.batch_files import StoredBatch
from stages.common.engines.engine import EngineError
from stages.common.engines.openai_engine import make_client, read_error
from stages.common.engines.openai_protocol import MAX_REPLY_BYTES
from stages.common.engines.retry_policy import AttemptError, Cause, RetryPolicy
from stages.common.engines.servers import URLS_VARIABLE, Secrets, Server, read_servers
from stages.common.tables import content_hash

if TYPE_CHECKING:
    from openai import AsyncOpenAI

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_FILE_BYTES = 16 * 2**30
"""Bytes read of a result file: far above 50,000 completions."""

SETTLE_S = 5.0
"""Seconds after a create without a reply before it is looked for: a list may lag behind."""

MAX_FETCHES = 3
"""Times that a result file is fetched where it holds fewer lines than the batch counts."""

_NO_ENDPOINT = "use a provider that takes OpenAI's batches, or kind openai"


class ProviderBackend:
    """The server named by OPENAI_BASE_URL. Raises `EngineError` where it cannot go on; its batches keep running."""

    charges_less = True

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._loop = asyncio.Runner()
        self._clients: dict[int, AsyncOpenAI] = {}
        """By the longest reply that each reads."""
        self._reported: set[tuple[str, str]] = set()
        """Kinds of work and of errors that the user was told of."""

    def find(self, batch: StoredBatch) -> bool:
        """Whether the server has the batch; its id is then stored."""
        self._check_server(batch)
        batch.state.batch_id = self._retry(f"look for batch {batch.name}", lambda client: find_batch(client, batch))
        batch.save()
        return batch.state.batch_id is not None

    def submit(self, batch: StoredBatch) -> None:
        """Upload the input and create the batch, once: after a create without a reply, it is looked for first."""
        server, _ = self._read_server()
        state = batch.state
        state.server = content_hash(server.url)
        if state.file_id is None:
            state.file_id = self._retry(f"upload batch {batch.name}", lambda client: upload_batch(client, batch))
        state.is_sent = True
        batch.save()
        num_calls = 0

        async def create_once(client: AsyncOpenAI) -> str:
            nonlocal num_calls
            num_calls += 1
            if num_calls > 1:
                await asyncio.sleep(SETTLE_S)
                if found := await find_batch(client, batch):
                    return found
            return await create_batch(client, batch)

        state.batch_id = self._retry(f"create batch {batch.name}", create_once)
        batch.save()
        logger.info("batch %s: %s requests sent as %s", batch.name, f"{len(state.keys):,}", state.batch_id)

    def poll(self, batch: StoredBatch) -> BatchStatus:
        """Where the batch is now."""
        self._check_server(batch)
        return self._retry(f"poll batch {batch.name}", lambda client: poll_batch(client, batch), batch)

    def fetch(self, batch: StoredBatch, status: BatchStatus) -> None:
        """Store what the finished batch gave in its folder."""
        files = ((status.output_file_id, batch.output), (status.error_file_id, batch.errors))
        for number in range(MAX_FETCHES):
            if number:
                time.sleep(self._policy.choose_delay(number))
            num_lines = 0
            for file_id, path in files:
                if file_id is not None:
                    num_lines += self._fetch_file(batch, file_id, path)
            if num_lines >= (status.completed or 0):
                return
        logger.warning(
            "batch %s: its files hold %d lines, and it counts %d completed requests", batch.name, num_lines,
            status.completed,
        )  # fmt: skip

    @property
    def secrets(self) -> Secrets:
        """Those of the environment."""
        return self._read_server()[1]

    def close(self) -> None:
        """Close all connections."""
        while self._clients:
            _, client = self._clients.popitem()
            self._loop.run(client.close())
        self._loop.close()

    def _fetch_file(self, batch: StoredBatch, file_id: str, path: Path) -> int:
        return self._retry(
            f"fetch the results of batch {batch.name}",
            lambda client: download_file(client, file_id, path),
            batch,
            MAX_FILE_BYTES,
        )

    def _read_server(self) -> tuple[Server, Secrets]:
        servers, secrets = read_servers()
        if len(servers) > 1:
            raise EngineError(f"{URLS_VARIABLE}: expected one address for kind batch, found {len(servers)}")
        return servers[0], secrets

    def _check_server(self, batch: StoredBatch) -> None:
        server, _ = self._read_server()
        if batch.state.server != content_hash(server.url):
            raise EngineError(
                f"{batch.folder}: this batch was sent to another address than {URLS_VARIABLE} names now; set it to "
                f"that one, or remove this folder to send its {len(batch.state.keys):,} requests again"
            )

    def _retry(
        self,
        work: str,
        action: Callable[[AsyncOpenAI], Awaitable[T]],
        batch: StoredBatch | None = None,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> T:
        """What `action` returns, in as many attempts as the request's timeout allows; `batch` runs already."""
        deadline = time.monotonic() + self._policy.request_timeout_s
        num_attempts = 0
        while True:
            result = self._loop.run(self._attempt(action, max_bytes))
            if not isinstance(result, AttemptError):
                return result
            num_attempts += 1
            delay = self._policy.choose_delay(num_attempts, result.retry_after_s)
            if result.cause in (Cause.FINAL, Cause.REFUSED) or time.monotonic() + delay >= deadline:
                self._stop(work, result, num_attempts, batch)
            if (found := (work.split()[0], result.kind)) not in self._reported:
                self._reported.add(found)
                logger.warning("%s; trying again (said once)", self.secrets.hide(f"{work}: {result}"))
            time.sleep(delay)

    async def _attempt(self, action: Callable[[AsyncOpenAI], Awaitable[T]], max_bytes: int) -> T | AttemptError:
        from httpx2 import HTTPError
        from openai import OpenAIError

        server, secrets = self._read_server()
        if max_bytes not in self._clients:
            self._clients[max_bytes] = make_client(server, secrets, 1, max_bytes)
        # A whole file may take longer than a reply.
        timeout_s = self._policy.attempt_timeout_s if max_bytes == MAX_REPLY_BYTES else self._policy.request_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await action(self._clients[max_bytes])
        except (AttemptError, TimeoutError, OpenAIError, HTTPError) as error:
            return read_error(error, timeout_s)

    def _stop(self, work: str, error: AttemptError, num_attempts: int, batch: StoredBatch | None) -> NoReturn:
        server, secrets = self._read_server()
        text = secrets.hide(f"{server.name}: {work}: {error}, in {num_attempts} attempts")
        is_gone = batch is not None and error.kind.startswith("HTTP 404")
        if batch is not None and is_gone:
            hint = f"remove {batch.folder} to send its {len(batch.state.keys):,} requests again, which costs again"
        elif error.kind.startswith(("HTTP 404", "HTTP 405")):
            hint = _NO_ENDPOINT
        else:
            hint = error.hint or "run the same command again: it goes on from here"
        raise EngineError(f"{text}; {hint}")
