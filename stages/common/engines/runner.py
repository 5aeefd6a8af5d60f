"""The journal in front of an engine: what was answered is never asked again, what comes is kept at once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stages.common.engines.committer import Committer
from stages.common.engines.cost import Meter, Prices, Usage
from stages.common.engines.engine import Engine
from stages.common.engines.errors import EngineError
from stages.common.engines.request import Completion, Failure, Request, Result
from stages.common.journal import Journal

WINDOW = 500
"""Requests over which failures are counted."""

MOST_FAILING = 0.2
"""Share of them that may fail for good."""

LEAST = 20
"""Requests below which a run is not judged by its failures when it ends: too few to say anything."""

Check = Callable[[Request, Completion], str | None]
"""What is wrong with a completion, None if nothing; for the pre-flight."""


class Runner:
    """Asks an engine for what the journal at `path` lacks; a context manager that closes both.

    `label` names the work in messages and in the progress bar.
    """

    def __init__(self, engine: Engine, path: Path, label: str, prices: Prices | None = None) -> None:
        self.spent = Usage()
        """What this run paid for; answers from the journal are not in it."""
        self.used = Usage()
        """What was asked for in this run, whichever run paid for it."""
        self.failures: dict[str, Failure] = {}
        """Requests that failed for good in this run, by key."""
        self.from_journal = 0
        """Requests that were answered before."""
        self._engine = engine
        self._journal = Journal(path)
        self._label = label
        self._prices = prices
        self._asked: set[str] = set()
        self._recent: deque[Failure | None] = deque(maxlen=WINDOW)

    def __enter__(self) -> Self:
        self._journal.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._engine.close()
        finally:
            self._journal.__exit__(kind, error, trace)

    def ask(
        self,
        requests: Iterable[Request],
        total: int | None = None,
        preflight: int = 0,
        check: Check | None = None,
    ) -> None:
        """Have all of `requests` answered, each once however often it is given; they may come from a generator.

        `total` is their number, for the progress bar. With `preflight` the first so many go ahead alone: all must be
        answered, unless an earlier run was, and at least half must pass `check`, before any other is sent. Raises
        `EngineError` where asking must stop; all answers that came are kept, and a new run asks for the rest only.
        """
        with Meter(self._label, total, self.spent, self._prices) as meter:
            missing = self._missing(requests, meter)
            first = list(islice(missing, preflight))
            if first:
                self._send(first, meter)
                self._check_preflight(first, check)
            self._send(missing, meter)
        if len(self._recent) >= LEAST:
            self._stop_if_too_many_fail()

    def get(self, request: Request) -> Result:
        """The answer to a request that was asked; raises `KeyError` for any other."""
        if request.key in self.failures:
            return self.failures[request.key]
        return Completion.from_json(self._journal.get(request.key))

    def costs(self) -> dict[str, Any]:
        """For a stage's report: what this run paid for, and under `in_all` what all that it asked for has cost."""
        paid = self.spent.report(self._prices)
        return {"from_journal": self.from_journal, **paid, "in_all": self.used.report(self._prices)}

    def _missing(self, requests: Iterable[Request], meter: Meter) -> Iterator[Request]:
        for request in requests:
            if request.key in self._asked:
                continue
            self._asked.add(request.key)
            if request.key in self._journal:
                self.from_journal += 1
                self.used.add(self.get(request))
                meter.skip()
            else:
                yield request

    def _send(self, requests: Iterable[Request], meter: Meter) -> None:
        with Committer(self._journal) as committer, closing(self._engine.complete(requests)) as answers:
            for request, result in answers:
                if isinstance(result, Failure):
                    self.failures[request.key] = result
                    self._recent.append(result)
                else:
                    committer.add(request.key, result.to_json())
                    self._recent.append(None)
                self.used.add(result)
                meter.saw(result)
                if len(self._recent) == WINDOW and isinstance(result, Failure):
                    self._stop_if_too_many_fail()

    def _check_preflight(self, first: list[Request], check: Check | None) -> None:
        faults = []
        for request in first:
            result = self.get(request)
            if isinstance(result, Failure):
                if self.from_journal:  # the server has answered before: what fails may be all that is left
                    continue
                raise EngineError(f"{self._label}: pre-flight of {len(first)} requests: {result.reason}")
            fault = check(request, result) if check is not None else None
            if fault is not None:
                faults.append(fault)
        if 2 * len(faults) > len(first):
            raise EngineError(
                f"{self._label}: pre-flight: {len(faults)} of {len(first)} replies are of no use: {faults[0]}; nothing "
                "else was sent"
            )

    def _stop_if_too_many_fail(self) -> None:
        failed = [failure for failure in self._recent if failure is not None]
        if len(failed) <= MOST_FAILING * len(self._recent):
            return
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(f.kind for f in failed).most_common(4))
        raise EngineError(
            f"{self._label}: {len(failed)} of the last {len(self._recent)} requests failed for good ({kinds}; "
            f"the last: {failed[-1].reason}). {len(self._journal)} answers are kept in {self._journal.path}; when the "
            "cause is gone, run the same again: it asks for the rest only"
        )
