"""The `recorded` engine: completions that were sampled elsewhere, read from a file."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.common.engines.engine import ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, Response
from stages.common.errors import UserError
from stages.common.params.engine import EngineParams
from stages.common.raw_rows import RawRow, read_file
from stages.common.tables import DropLog, make_problem_id
from stages.common.text import format_answer, has_lone_surrogate

NOT_RECORDED = "not recorded"
"""Kind of the failure of a request whose completion is not in the file."""


def make_custom_id(problem: str, index: int) -> str:
    """The `custom_id` by which a completion is found: problem id, and 0-based index among the problem's samples."""
    return f"{problem}-{index}"


class RecordedKind(EngineKind):
    """Completions from a file."""

    generates = False
    makes_requests = False

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> RecordedEngine:
        """Rows that cannot be used are counted in `context.drops`."""
        assert params.recorded is not None
        return RecordedEngine(Path(params.recorded.path), context.drops)

    @classmethod
    def name_sampler(cls, params: EngineParams) -> str:
        """Independent of the file, whose name decides nothing."""
        return "recorded"

    @classmethod
    def choose_seed(cls, seed: int) -> int | None:
        """Seeds were not recorded."""
        return None


class RecordedEngine:
    """Completions in `path`: JSON Lines with `problem`, `answer` and a list `solutions`, found by `custom_id`.

    A row or solution that cannot be used is counted in `drops` and changes no other: a solution keeps its place in its
    list as its index. A problem given twice is taken once. Token counts were not recorded and are null.
    """

    def __init__(self, path: Path, drops: DropLog) -> None:
        self._path = path
        self._drops = drops

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; all requests are taken at once. Raises `UserError` where there is no file."""
        if not self._path.is_file():
            raise UserError(f"engine.recorded.path: {self._path}: no such file; check the path")
        pending: dict[str, dict[int, GenerationRequest]] = {}
        for request in requests:
            problem, _, index = request.custom_id.rpartition("-")
            pending.setdefault(problem, {})[int(index or 0)] = request
        known = set(pending)
        for row in read_file(self._path):
            yield from self._match(row, f"{self._path.name}:{row.row + 1}", known, pending)
        for of_problem in pending.values():
            for request in of_problem.values():
                yield request, Failure(f"{self._path} has no completion {request.custom_id}", 1, NOT_RECORDED)

    def close(self) -> None:
        """Nothing is open."""

    def _match(
        self, raw: RawRow, where: str, known: set[str], pending: dict[str, dict[int, GenerationRequest]]
    ) -> Iterator[Exchange]:
        row = self._read_row(raw, where)
        if row is None:
            return
        identity = make_problem_id(row["problem"], format_answer(row["answer"]))
        if identity not in known:
            self._drops.drop("problem not requested", where, row["problem"])
        elif identity not in pending:
            self._drops.drop("problem repeated", where, row["problem"])
        else:
            for index, request in sorted(pending.pop(identity).items()):
                yield request, self._respond(row["solutions"], index, where)

    def _respond(self, solutions: list[Any], index: int, where: str) -> Response:
        if index >= len(solutions):
            return Failure(f"{where} has no solution {index}", 1, NOT_RECORDED)
        text = solutions[index]
        error = _check_text(text)
        if error is None:
            return Completion(text, "stop", None, None, None, "recorded")
        self._drops.drop(error, f"{where}, solution {index}", text)
        return Failure(error, 1, NOT_RECORDED)

    def _read_row(self, raw: RawRow, where: str) -> dict[str, Any] | None:
        """The row with all its keys, or None with the reason counted."""
        row, reason = raw.value, raw.error
        if reason is None and not isinstance(row, dict):
            reason = "not an object"
        if reason is None:
            types = {"problem": str, "answer": (str, int, float), "solutions": list}
            bad = next((key for key, kind in types.items() if not isinstance(row.get(key), kind)), None)  # type: ignore[arg-type]
            if bad is None:
                return dict(row)
            reason = f"{bad} missing or of another type"
        self._drops.drop(reason, where, "" if row is None else row)
        return None


def _check_text(text: Any) -> str | None:
    """Why `text` cannot be a completion; None where it can."""
    if not isinstance(text, str):
        return "solution not text"
    if not text.strip():
        return "solution empty"
    return "solution badly encoded" if has_lone_surrogate(text) else None
