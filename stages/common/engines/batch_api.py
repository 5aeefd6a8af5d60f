"""OpenAI's files and batches, through the openai package's client. What a server replies is checked here.

The package's own methods are not used: they give what a server replies unchecked, and hold a whole file in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from httpx2 import Response

from stages.common.engines.batch_backend import BatchError, BatchStatus
from stages.common.engines.batch_files import StoredBatch
from stages.common.engines.retry_policy import AttemptError, Cause

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NAME_KEY = "stepkto"
"""Key of a batch's metadata that holds its name here, by which it is found again."""

PAGE_SIZE = 100
"""Batches per page of a list, the most that OpenAI gives."""

MAX_PAGES = 1000

MAX_CODE_CHARS = 100
"""Characters kept of an error's code."""

FINISHED = frozenset({"completed", "failed", "expired", "cancelled"})
UNFINISHED = frozenset({"validating", "in_progress", "finalizing", "cancelling"})

_COUNTS = ("total", "completed", "failed")
_FILES = ("output_file_id", "error_file_id")

_ID = re.compile(r"\w[\w.:-]{0,199}", re.ASCII)


async def upload_batch(client: AsyncOpenAI, batch: StoredBatch) -> str:
    """The id of its uploaded input file; the file is read as it is sent."""
    headers = {"Content-Type": "multipart/form-data"}
    with batch.input.open("rb") as file:
        files = [("file", (f"{batch.name}.jsonl", file))]
        reply = await client.post(
            "/files", cast_to=Response, body={"purpose": "batch"}, files=files, options={"headers": headers}
        )
    return _read_id(_read_object(reply).get("id"))


async def create_batch(client: AsyncOpenAI, batch: StoredBatch) -> str:
    """The id of the batch, which now runs."""
    body = {
        "input_file_id": batch.state.file_id,
        "endpoint": batch.state.endpoint,
        "completion_window": "24h",
        "metadata": {NAME_KEY: batch.name},
    }
    return _read_id(_read_object(await client.post("/batches", cast_to=Response, body=body)).get("id"))


async def find_batch(client: AsyncOpenAI, batch: StoredBatch) -> str | None:
    """The id of the batch at the server: by its metadata or, where the server keeps none, by its input file."""
    seen: set[str] = set()
    query: dict[str, object] = {"limit": PAGE_SIZE}
    for _ in range(MAX_PAGES):
        page = _read_object(await client.get("/batches", cast_to=Response, options={"params": query}))
        rows = page.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise AttemptError("reply is no list of batches", "", Cause.MALFORMED)
        for row in rows:
            metadata = row.get("metadata")
            is_named = isinstance(metadata, dict) and metadata.get(NAME_KEY) == batch.name
            is_same_file = batch.state.file_id is not None and row.get("input_file_id") == batch.state.file_id
            if (is_named or is_same_file) and str(row.get("status")).lower() != "failed":
                return _read_id(row.get("id"))
        last = rows[-1].get("id") if rows else None
        if page.get("has_more") is False or not isinstance(last, str) or last in seen:
            return None
        seen.add(last)
        query["after"] = last
    raise AttemptError("too many batches", f"more than {MAX_PAGES * PAGE_SIZE}", Cause.FINAL)


async def poll_batch(client: AsyncOpenAI, batch: StoredBatch) -> BatchStatus:
    """Where the batch is."""
    reply = _read_object(await client.get(f"/batches/{batch.state.batch_id}", cast_to=Response))
    name = str(reply.get("status")).lower()[:50]
    if name not in FINISHED | UNFINISHED:
        raise AttemptError("unknown state of a batch", name, Cause.MALFORMED)
    counts = reply.get("request_counts")
    total, completed, failed = (_read_number(counts.get(key) if isinstance(counts, dict) else None) for key in _COUNTS)
    output, errors = (None if reply.get(key) is None else _read_id(reply[key]) for key in _FILES)
    reasons = tuple(_read_errors(reply)) if name == "failed" else ()
    return BatchStatus(name, name in FINISHED, total, completed, failed, output, errors, reasons)


def _read_errors(reply: dict[str, Any]) -> Iterator[BatchError]:
    """Why the whole batch failed; those that name a line of the input concern that request alone."""
    errors = reply.get("errors")
    rows = errors.get("data") if isinstance(errors, dict) else None
    for error in rows if isinstance(rows, list) else []:
        if isinstance(error, dict):
            code = str(error.get("code") or "failed")[:MAX_CODE_CHARS]
            yield BatchError(_read_number(error.get("line")), code, str(error.get("message") or ""))


async def download_file(client: AsyncOpenAI, file_id: str, path: Path) -> int:
    """Store a result file, complete or not at all; return the number of its lines."""
    from openai import AsyncStream

    partial, num_lines, last = path.with_suffix(".part"), 0, b"\n"
    where = f"/files/{file_id}/content"
    stream = await client.get(where, cast_to=object, stream=True, stream_cls=AsyncStream[object])
    async with stream:
        with partial.open("wb") as file:
            async for chunk in stream.response.aiter_bytes():
                file.write(chunk)
                num_lines += chunk.count(b"\n")
                last = chunk[-1:] or last
    partial.replace(path)
    return num_lines + (last != b"\n")


def _read_object(reply: Response) -> dict[str, Any]:
    try:
        value = json.loads(reply.content)
    except (ValueError, RecursionError) as error:
        raise AttemptError("reply is not JSON", type(error).__name__, Cause.MALFORMED) from None
    if not isinstance(value, dict):
        raise AttemptError("reply is no object", type(value).__name__, Cause.MALFORMED)
    return value


def _read_id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise AttemptError("reply has no usable id", repr(value)[:MAX_CODE_CHARS], Cause.MALFORMED)
    return value


def _read_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
