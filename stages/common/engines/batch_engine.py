"""The `batch` engine: requests in files of OpenAI's batch format, run by a provider within a day, or by vLLM offline.

What was sent is kept in a folder beside the journal: a run that was killed at any point goes on with the same batches.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from stages.common.engines.batch_backend import BatchBackend, BatchStatus
from stages.common.engines.batch_files import RequestLine, StoredBatch, read_batches, write_batches
from stages.common.engines.batch_provider import ProviderBackend
from stages.common.engines.batch_vllm import VllmBackend
from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.openai_engine import OpenAIEngine, OpenAIKind
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, has_completion_form
from stages.common.engines.retry_policy import AttemptError, Cause, RetryPolicy
from stages.common.engines.vllm_engine import VllmKind
from stages.common.engines.vllm_server import find_python
from stages.common.journal import read_keys
from stages.common.params.engine import BatchParams, EngineParams

logger = logging.getLogger(__name__)

MAX_WAIT_S = 48 * 3600.0
"""Seconds without any batch finished: the provider's window of a day, and a day of grace."""

REPORT_S = 60.0
"""Shortest time between two lines on counts of one batch; a change of its state is reported at once."""

Write = Callable[[GenerationRequest], dict[str, Any]]
"""The body of a request; raises `AttemptError` for one that cannot be sent."""


class BatchKind(EngineKind):
    """A provider's batches at OPENAI_BASE_URL, or vLLM's `run-batch`."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> BatchEngine:
        """With a provider, few requests are sent one by one by the `openai` engine, which also finds its dialect."""
        if params.batch.backend == "vllm":
            backend = VllmBackend(model, params.vllm, find_python(context.get_runtime()))
            return BatchEngine(backend, backend.write, params.batch, context.journal)
        online = OpenAIKind.make_engine(params, model, context)
        provider = ProviderBackend(RetryPolicy(params.request_timeout_s, params.attempt_timeout_s))
        return BatchEngine(
            provider, lambda request: online.write(request, online.model_name), params.batch, context.journal, online
        )

    @classmethod
    def uses_batches(cls, params: EngineParams) -> bool:
        """Not where vLLM runs them."""
        return params.batch.backend == "provider"

    @classmethod
    def identify_model(cls, params: EngineParams, model: ModelId) -> str:
        """As where the same model replies to single requests: their completions are the same."""
        return (VllmKind if params.batch.backend == "vllm" else OpenAIKind).identify_model(params, model)


class BatchEngine:
    """Sends batches by `backend`, and so few requests that a batch is not worth it by `online`.

    Requests of all batches under way are in memory. A batch is forgotten once the journal holds its completions.
    """

    def __init__(
        self,
        backend: BatchBackend,
        write: Write,
        params: BatchParams,
        journal: Path,
        online: OpenAIEngine | None = None,
    ) -> None:
        self._backend = backend
        self._write = write
        self._params = params
        self._journal = journal
        self._root = journal.with_suffix(".batches")
        self._online = online if params.max_online_requests else None
        self._wants_token_ids = False
        self._reported: dict[str, tuple[str, float]] = {}
        self._max_running: int | None = None
        """Batches that the provider lets run at once, where it has refused more."""
        self._sent_alone = ""
        """Name of the last batch that was sent while no other ran."""

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; all requests are taken at once. Raises `EngineError`; batches under way stay so."""
        requested = {request.key: request for request in requests}
        self._wants_token_ids = any(request.wants_token_ids for request in requested.values())
        attempts: Counter[str] = Counter()
        running = self._resume(requested)
        claimed = {key for batch in running for key in batch.state.keys}
        fresh = [request for key, request in requested.items() if key not in claimed]
        waiting: deque[StoredBatch] = deque()
        try:
            while fresh or waiting or running:
                yield from self._complete_online(fresh)
                yield from self._plan(fresh, waiting)
                while waiting and (self._max_running is None or len(running) < self._max_running):
                    self._backend.submit(waiting[0])
                    self._sent_alone = self._sent_alone if running else waiting[0].name
                    running.append(waiting.popleft())
                if running:
                    batch, status = self._wait(running)
                    running.remove(batch)
                    if status.is_over_limit:
                        self._postpone(batch, status, len(running))
                        waiting.appendleft(batch)
                    else:
                        yield from self._collect(batch, status, requested, attempts, fresh)
        finally:
            sizes = [len(batch.state.keys) for batch in running if batch.state.batch_id is not None]
            if sizes:
                found = "batches under way at the provider: %d, with %s requests; the same command picks them up"
                logger.warning(found, len(sizes), f"{sum(sizes):,}")

    def close(self) -> None:
        """Forget the batches whose completions the journal holds; others are for the next run."""
        self._backend.close()
        fetched = [batch for batch in read_batches(self._root) if batch.state.is_fetched]
        has_form = partial(has_completion_form, has_token_ids=self._wants_token_ids)
        stored = read_keys(self._journal, has_form) if fetched else frozenset()
        for batch in fetched:
            if stored.issuperset(batch.state.keys):
                batch.remove()

    def _resume(self, requested: dict[str, GenerationRequest]) -> list[StoredBatch]:
        """Batches of earlier calls and runs that hold requests of `requested`; what was never sent is removed."""
        running = []
        for batch in read_batches(self._root):
            state = batch.state
            if state.batch_id is None and not state.is_fetched and not (state.is_sent and self._backend.find(batch)):
                batch.remove()
            elif not requested.keys().isdisjoint(state.keys):
                running.append(batch)
        if running:
            logger.info("going on with %d batches that were sent before", len(running))
        return running

    def _complete_online(self, fresh: list[GenerationRequest]) -> Iterator[Exchange]:
        """Respond to `fresh`, which is then empty, where it is short; else to the first, which finds the dialect."""
        if self._online is None or not fresh:
            return
        is_short = len(fresh) <= self._params.max_online_requests
        count = len(fresh) if is_short else int(not self._online.dialect.is_known)
        requests, fresh[:] = fresh[:count], fresh[count:]
        yield from self._online.complete(requests)

    def _plan(self, fresh: list[GenerationRequest], waiting: deque[StoredBatch]) -> Iterator[Exchange]:
        """Put `fresh`, which is then empty, into batches; a request that cannot be sent has failed."""
        lines = []
        for request in fresh:
            try:
                lines.append(self._make_line(request))
            except AttemptError as error:
                yield request, Failure(self._describe(error), 1, error.kind)
        fresh.clear()
        lines.sort(key=lambda line: line.endpoint)  # stable: prompts stay side by side
        waiting += write_batches(self._root, lines, self._params.max_requests, self._params.max_bytes)

    def _make_line(self, request: GenerationRequest) -> RequestLine:
        body = self._write(request)
        endpoint = "/v1/completions" if "prompt" in body else "/v1/chat/completions"
        row = {"custom_id": request.key, "method": "POST", "url": endpoint, "body": body}
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        if len(line) > self._params.max_bytes:
            limit = f"{len(line):,} bytes, and batch.max_bytes is {self._params.max_bytes:,}"
            raise AttemptError("request too long", limit, Cause.REFUSED)
        return RequestLine(request.key, endpoint, line)

    def _wait(self, running: list[StoredBatch]) -> tuple[StoredBatch, BatchStatus]:
        """The first batch to finish."""
        deadline = time.monotonic() + MAX_WAIT_S
        while True:
            for batch in running:
                status = BatchStatus("fetched", True) if batch.state.is_fetched else self._backend.poll(batch)
                self._report(batch, status)
                if status.is_finished:
                    return batch, status
            if time.monotonic() > deadline:
                raise EngineError(f"no batch has finished within {MAX_WAIT_S / 3600:g} hours; see your provider's list")
            time.sleep(self._params.poll_s)

    def _report(self, batch: StoredBatch, status: BatchStatus) -> None:
        name, then = self._reported.get(batch.name, ("", 0.0))
        if status.name != name or time.monotonic() - then >= REPORT_S:
            self._reported[batch.name] = status.name, time.monotonic()
            logger.info("batch %s: %s", batch.state.batch_id or batch.name, status)

    def _postpone(self, batch: StoredBatch, status: BatchStatus, num_running: int) -> None:
        """Have `batch` sent again once another one has finished."""
        if batch.name == self._sent_alone:
            raise EngineError(self._backend.secrets.hide(
                f"batch {batch.state.batch_id} refused: {status.errors[0].message}; wait until others of this account "
                "have finished, or set batch.max_requests lower, and run again"
            ))  # fmt: skip
        self._max_running = max(1, num_running)
        batch.state.batch_id, batch.state.is_sent = None, False
        batch.save()

    def _collect(
        self,
        batch: StoredBatch,
        status: BatchStatus,
        requested: dict[str, GenerationRequest],
        attempts: Counter[str],
        fresh: list[GenerationRequest],
    ) -> Iterator[Exchange]:
        """What the finished `batch` gave for requests of `requested`; those to be sent again are added to `fresh`."""
        is_new = not batch.state.is_fetched
        if is_new and status.name != "failed":
            self._backend.fetch(batch, status)
        refused = self._read_refusals(batch, status) if status.name == "failed" else {}
        done, errors = self._survey(batch, is_new)
        errors |= refused
        keys = batch.state.keys
        # What is not done is in no batch any more: a later run sends it as new.
        batch.state.keys, batch.state.is_fetched = [key for key in keys if key in done], True
        batch.save()
        default = AttemptError("no result", f"the batch is {status.name}, and its files lack the request")
        lost: Counter[str] = Counter()
        failures: list[Exchange] = []
        for key in keys:
            if key in done or key not in requested:
                continue
            error = errors.get(key, default)
            attempts[key] += 1
            if error.cause is not Cause.TRANSIENT or attempts[key] >= self._params.max_attempts:
                failures.append((requested[key], Failure(self._describe(error), attempts[key], error.kind)))
            else:
                lost[error.kind] += 1
                fresh.append(requested[key])
        if lost:
            kinds = ", ".join(f"{count:,} {self._backend.secrets.hide(kind)}" for kind, count in lost.most_common())
            logger.warning("batch %s: to be sent again: %s", batch.state.batch_id, kinds)
        completions = self._read_completions(batch, {key: requested[key] for key in done if key in requested})
        yield from _mix(completions, failures, len(done & requested.keys()))

    def _survey(self, batch: StoredBatch, is_new: bool) -> tuple[set[str], dict[str, AttemptError]]:
        """Which requests a batch completed, and the errors of others; lines without sense are counted in a warning."""
        keys, done = set(batch.state.keys), set()
        errors: dict[str, AttemptError] = {}
        strange: Counter[str] = Counter()
        for result in batch.read_results():
            if result is None or result[0] not in keys:
                strange["that name no request of it"] += 1
            elif result[0] in done:
                strange["that repeat another"] += 1
            elif isinstance(result[1], AttemptError):
                errors.setdefault(result[0], result[1])
            else:
                done.add(result[0])
        for what, count in strange.items() if is_new else ():
            logger.warning("batch %s: %d lines %s are left out", batch.state.batch_id, count, what)
        return done, errors

    def _read_completions(self, batch: StoredBatch, left: dict[str, GenerationRequest]) -> Iterator[Exchange]:
        """The first completion of each request in `left`, which is then empty."""
        for result in batch.read_results():
            if result is not None and result[0] in left and isinstance(result[1], Completion):
                yield left.pop(result[0]), replace(result[1], is_batch=self._backend.charges_less)

    def _describe(self, error: AttemptError) -> str:
        return self._backend.secrets.hide_before(str(error), error.hint)

    def _read_refusals(self, batch: StoredBatch, status: BatchStatus) -> dict[str, AttemptError]:
        """Why single requests were refused, by key; raise `EngineError` where the batch was refused as a whole."""
        keys = batch.state.keys
        refused = {
            keys[error.line - 1]: AttemptError(error.code, error.message, Cause.REFUSED)
            for error in status.errors
            if error.line is not None and 1 <= error.line <= len(keys)
        }
        if not refused:
            reason = "; ".join(f"{error.code}: {error.message}" for error in status.errors) or "without a reason"
            name = batch.state.batch_id
            batch.remove()
            raise EngineError(self._backend.secrets.hide(f"batch {name} failed before any request ran: {reason}"))
        return refused


def _mix(exchanges: Iterable[Exchange], failures: list[Exchange], count: int) -> Iterator[Exchange]:
    """`exchanges`, `count` of them, with `failures` spread evenly: whoever counts the latest sees the true rate."""
    left = iter(failures)
    for number, exchange in enumerate(exchanges, 1):
        yield exchange
        yield from islice(left, len(failures) * number // count - len(failures) * (number - 1) // count)
    yield from left
