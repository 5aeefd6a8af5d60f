"""Batches on disk, beside the journal: which requests each holds, how far it is, and what came back."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from stages.common.engines.openai_protocol import MAX_REPLY_BYTES
from stages.common.engines.openai_reply import read_completion
from stages.common.engines.request import Completion
from stages.common.engines.retry_policy import AttemptError, Cause, make_status_error
from stages.common.errors import UserError
from stages.common.tables import content_hash

STATE = "state.json"

MAX_LINE_BYTES = 2 * MAX_REPLY_BYTES
"""Bytes read of one line of a result file: a reply, and its escapes."""

MAX_CODE_CHARS = 100
"""Characters kept of an error's code."""


class RequestLine(NamedTuple):
    """One request of a batch."""

    key: str
    endpoint: str
    """Path of the API that completes it; one batch has one endpoint."""
    line: bytes
    """Its line of the input file."""


@dataclass
class BatchState:
    """How far a batch is: what a later run has to know of it."""

    keys: list[str]
    """Keys of its requests, in the order of the input file; once fetched, those that it completed."""
    endpoint: str
    server: str = ""
    """Hash of the server's address."""
    file_id: str | None = None
    """The server's id of the uploaded input file."""
    is_sent: bool = False
    """Whether the server may have been told to start it: only then can it have cost anything."""
    batch_id: str | None = None
    """The server's id of the batch."""
    is_fetched: bool = False
    """Whether its results are in the folder."""


class StoredBatch:
    """A batch in a folder of its own, whose name also identifies it at the server."""

    def __init__(self, folder: Path, state: BatchState) -> None:
        self.folder = folder
        self.state = state
        self.input, self.output, self.errors = (folder / f"{name}.jsonl" for name in ("input", "output", "errors"))

    @property
    def name(self) -> str:
        """Unique among all batches."""
        return self.folder.name

    def save(self) -> None:
        """Store its state durably."""
        _write_durably(self.folder / STATE, json.dumps(asdict(self.state)).encode())

    def remove(self) -> None:
        """Forget it."""
        shutil.rmtree(self.folder)

    def read_results(self) -> Iterator[tuple[str, Completion | AttemptError] | None]:
        """Key and result of each line that came back; None for a line that names no request."""
        for path in (self.output, self.errors):
            if path.exists():
                yield from map(read_result, _read_lines(path))


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_batches(root: Path, lines: Iterable[RequestLine], max_requests: int, max_bytes: int) -> Iterator[StoredBatch]:
    """Store `lines`, those of an endpoint side by side, as batches of at most so many requests and bytes."""
    group: list[RequestLine] = []
    size = 0
    for line in lines:
        is_full = len(group) == max_requests or size + len(line.line) > max_bytes
        if group and (is_full or line.endpoint != group[0].endpoint):
            yield _write_batch(root, group)
            group, size = [], 0
        group.append(line)
        size += len(line.line)
    if group:
        yield _write_batch(root, group)


def _write_batch(root: Path, group: list[RequestLine]) -> StoredBatch:
    keys = [line.key for line in group]
    folder = root / content_hash("batch", keys, time.time_ns())
    folder.mkdir(parents=True)
    batch = StoredBatch(folder, BatchState(keys, group[0].endpoint))
    _write_durably(batch.input, b"".join(line.line for line in group))
    batch.save()
    return batch


def read_batches(root: Path) -> list[StoredBatch]:
    """The batches below `root`; those that a kill left half written, and that were hence never sent, are removed."""
    batches = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        path = folder / STATE
        if not path.exists():
            shutil.rmtree(folder)
            continue
        try:
            batches.append(StoredBatch(folder, BatchState(**json.loads(path.read_bytes()))))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}: expected a batch's state, found {type(error).__name__}; if the provider lists no batch with "
                f"metadata stepkto: {folder.name}, remove {folder}; otherwise its requests would be paid for again"
            ) from error
    return batches


def _read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file; one that is too long comes as its first bytes, which are no JSON."""
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            rest = line
            while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES)
            if line.strip():
                yield line


def read_result(line: bytes) -> tuple[str, Completion | AttemptError] | None:
    """Key and result in a line of an output or error file; None where it names no request."""
    try:
        row = json.loads(line)
        key = row["custom_id"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return (key, _read_response(row.get("response"), row.get("error"))) if isinstance(key, str) else None


def _read_response(response: Any, error: Any) -> Completion | AttemptError:
    response = response if isinstance(response, dict) else {}
    status, body = response.get("status_code"), response.get("body")
    if status == HTTPStatus.OK:
        try:
            return read_completion("application/json", json.dumps(body).encode())
        except AttemptError as malformed:
            return malformed
        except RecursionError:
            return AttemptError("reply is no completion", "nested too deeply", Cause.MALFORMED)
    error = error or body
    inner = error.get("error") if isinstance(error, dict) else None  # as in replies to single requests
    error = inner if isinstance(inner, dict) else error
    code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, error)
    if isinstance(status, int) and status > HTTPStatus.OK:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        return make_status_error(status, phrase, str(message or ""), None)
    return AttemptError(str(code or "no result")[:MAX_CODE_CHARS], str(message or ""))
