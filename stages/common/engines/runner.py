"""The journal in front of an engine: no request is sent twice, and every completion is stored at once."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stages.common.engines.engine import Engine, EngineError, ModelId
from stages.common.engines.journal_writer import JournalWriter
from stages.common.engines.kinds import EngineContext, MockReply, make_engine
from stages.common.engines.llm_usage import LlmUsage
from stages.common.engines.request import Completion, Failure, GenerationRequest, Response
from stages.common.journal import ROOT, Journal
from stages.common.params.engine import EngineParams, PriceParams
from stages.common.progress import Progress
from stages.common.runs import record_facts
from stages.common.tables import content_hash

FAILURE_WINDOW = 500
"""Requests over which failures are counted."""

MAX_FAILURE_RATE = 0.2
"""Fraction of them that may fail finally."""

MIN_REQUESTS = 20
"""Requests below which a run is not judged by its failures at its end: too few to tell."""

ReplyCheck = Callable[[GenerationRequest, Completion], str | None]
"""What is wrong with a completion, None if nothing; for the pre-flight."""


class Runner:
    """Sends an engine the requests that the journal at `path` lacks; a context manager that closes both.

    `desc` names the work in messages and in the progress bar.
    """

    def __init__(self, engine: Engine, path: Path, desc: str, prices: PriceParams | None = None) -> None:
        self.new_usage = LlmUsage()
        """What this run paid for; completions from the journal are not in it."""
        self.total_usage = LlmUsage()
        """What all completions of this run cost, whichever run paid for them."""
        self.failures: dict[str, Failure] = {}
        """Requests that failed finally in this run, by key."""
        self.from_journal = 0
        """Requests whose completions an earlier run stored."""
        self._engine = engine
        self._journal = Journal(path)
        self._desc = desc
        self._prices = prices
        self._seconds = 0.0
        self._seen: set[str] = set()
        self._recent: deque[Failure | None] = deque(maxlen=FAILURE_WINDOW)

    def __enter__(self) -> Self:
        self._journal.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        record_facts(usage={self._desc: self.report_run()})
        try:
            self._engine.close()
        finally:
            self._journal.__exit__(kind, error, trace)

    def run(
        self,
        requests: Iterable[GenerationRequest],
        total: int | None = None,
        preflight: int = 0,
        check: ReplyCheck | None = None,
    ) -> None:
        """Complete all of `requests`, each once however often it is given; they may come from a generator.

        `total` is their number, for the progress bar. With `preflight`, the first so many are sent alone: at
        least half must succeed, unless an earlier run had success, and pass `check`, before any other is sent.
        Raises `EngineError` where the run must stop; all completions are kept, and a new run sends the rest only.
        """
        started = time.monotonic()
        with Progress(self._desc, total, "requests", lambda: self.new_usage.format_line(self._prices)) as shown:
            missing = self._find_missing(requests, shown)
            first = list(islice(missing, preflight))
            if first:
                self._send(first, shown)
                self._check_preflight(first, check)
            self._send(missing, shown)
        self._seconds += time.monotonic() - started
        if len(self._recent) >= MIN_REQUESTS:
            self._check_failure_rate()

    def get(self, request: GenerationRequest) -> Response:
        """The response to a request of this run; raise `KeyError` for any other."""
        if request.key in self.failures:
            return self.failures[request.key]
        value = self._journal.find(request.key, request.accepts)
        if value is None:
            raise KeyError(f"{self._journal.path}: no completion of request {request.key}")
        return Completion.from_json(value)

    def report_usage(self) -> dict[str, Any]:
        """For a stage's report: what all completions cost, whichever run paid for them."""
        return self.total_usage.report(self._prices)

    def report_run(self) -> dict[str, Any]:
        """For the record of the run: what it paid for itself, and what it found in the journal."""
        usage = self.new_usage
        return {
            "from_journal": self.from_journal,
            **usage.report(self._prices),
            "cache_hit_rate": usage.measure_cache_hits(),
            "tokens_per_second": round(usage.completion_tokens / self._seconds, 1) if self._seconds else None,
        }

    def _find_missing(self, requests: Iterable[GenerationRequest], shown: Progress) -> Iterator[GenerationRequest]:
        for request in requests:
            if request.key in self._seen:
                continue
            self._seen.add(request.key)
            value = self._journal.find(request.key, request.accepts)
            if value is None:
                yield request
            else:
                self.from_journal += 1
                self.total_usage.add(Completion.from_json(value))
                shown.skip()

    def _send(self, requests: Iterable[GenerationRequest], shown: Progress) -> None:
        with JournalWriter(self._journal) as writer, closing(self._engine.complete(requests)) as exchanges:
            for request, response in exchanges:
                if isinstance(response, Failure):
                    self.failures[request.key] = response
                    self._recent.append(response)
                else:
                    writer.add(request.key, request.to_json(response))
                    self._recent.append(None)
                self.total_usage.add(response)
                self.new_usage.add(response)
                shown.advance()
                if len(self._recent) == FAILURE_WINDOW and isinstance(response, Failure):
                    self._check_failure_rate()

    def _check_preflight(self, first: list[GenerationRequest], check: ReplyCheck | None) -> None:
        responses = [(request, self.get(request)) for request in first]
        failures = [response for _, response in responses if isinstance(response, Failure)]
        # Where an earlier run had success, what fails may be all that is left.
        if 2 * len(failures) > len(first) and not self.from_journal:
            raise EngineError(f"{self._desc}: pre-flight of {len(first)} requests: {failures[0].reason}")
        completions = [(request, it) for request, it in responses if isinstance(it, Completion)]
        errors = [error for request, it in completions if check is not None and (error := check(request, it))]
        if 2 * len(errors) > len(first):
            raise EngineError(
                f"{self._desc}: pre-flight: {len(errors)} of {len(first)} replies are unusable: {errors[0]}; no "
                f"further request was sent; all of them are in {self._journal.path}"
            )

    def _check_failure_rate(self) -> None:
        failed = [failure for failure in self._recent if failure is not None]
        if len(failed) <= MAX_FAILURE_RATE * len(self._recent):
            return
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(f.kind for f in failed).most_common(4))
        raise EngineError(
            f"{self._desc}: {len(failed)} of the last {len(self._recent)} requests failed finally ({kinds}; the last: "
            f"{failed[-1].reason}). {len(self._journal)} completions are kept in {self._journal.path}; remove the "
            "cause and run the same command again: it sends the rest only"
        )


def make_runner(
    stage: str,
    name: str,
    params: EngineParams,
    model: ModelId,
    desc: str,
    engine: Engine | None = None,
    mock_reply: Callable[[GenerationRequest], MockReply] | None = None,
) -> Runner:
    """A runner of requests to `model`, called `name` in them, with its journal among those of `stage`.

    `engine` takes the place of the one that `params` describe; `mock_reply` is for a mock engine.
    """
    journal = ROOT / stage / f"{content_hash(name)}.jsonl"
    context = EngineContext(mock_reply=mock_reply, journal=journal)
    return Runner(engine or make_engine(params, model, context), journal, desc, params.prices)
