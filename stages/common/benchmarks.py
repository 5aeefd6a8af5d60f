"""Benchmarks: problems with gold answers from the Hub or a local file, read whole or not at all."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.params.evaluate import BenchmarkParams
from stages.common.provenance import compute_sha256
from stages.common.raw_rows import read_hub, read_objects
from stages.common.tables import PROBLEM, make_problem_id
from stages.common.text import format_answer, has_lone_surrogate

_PROBLEM_KEYS = ("problem", "question")
_SOLUTION_KEYS = ("solution", "reference_solution")


def read_benchmark(name: str, params: BenchmarkParams) -> pl.DataFrame:
    """PROBLEM rows of benchmark `name`, in the order of its rows, with split ``test`` and its name as their source.

    Raises `UserError` naming the row: an incomplete benchmark is another benchmark.
    """
    if params.hub is not None:
        hub = params.hub
        rows = read_hub(hub.repo, None, hub.revision, hub.split, streaming=False)
        origin = f"{hub.repo}@{hub.revision} {hub.split}"
        return _build_problems(name, origin, ((row.location, row.value) for row in rows), params.task)
    assert params.file is not None  # params ensure one of the two
    return read_problem_file(name, Path(params.file.path), params.file.sha256, params.task)


def read_problem_file(name: str, path: Path, sha256: str | None = None, task: str = "math") -> pl.DataFrame:
    """PROBLEM rows of the file `path`, see `read_benchmark`; a file with another `sha256` is refused."""
    return _build_problems(name, f"{path.name} sha256:{check_file(path, sha256)}", read_objects(path), task)


def check_file(path: Path, sha256: str | None) -> str:
    """The file's sha256; raise `UserError` if it differs from the recipe's `sha256`."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    found = compute_sha256(path)
    if sha256 not in (None, found):
        raise UserError(f"{path}: sha256: expected {sha256}, found {found}; update the recipe or restore the file")
    return found


def _build_problems(name: str, origin: str, rows: Iterable[tuple[str, dict[str, Any]]], task: str) -> pl.DataFrame:
    problems: list[dict[str, Any]] = []
    location_of: dict[str, str] = {}
    for number, (location, row) in enumerate(rows):
        problem = _read_text(location, row, _PROBLEM_KEYS)
        answer = read_gold_answer(location, row)
        key = make_problem_id(problem, answer)
        if key in location_of:
            raise UserError(f"{location}: the same problem and answer as {location_of[key]}")
        location_of[key] = location
        has_solution = any(row.get(key) is not None for key in _SOLUTION_KEYS)
        problems.append(
            {
                "problem_id": key,
                "split": "test",
                "source": name,
                "problem": problem,
                "solution": _read_text(location, row, _SOLUTION_KEYS) if has_solution else "",
                "answer": answer,
                "origin": origin,
                "origin_row": number,
                "task": task,
            }
        )
    if not problems:
        raise UserError(f"{origin}: no problem to evaluate")
    return pl.DataFrame(problems, schema=PROBLEM.schema)


def _read_text(location: str, row: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first of `keys` that the row has, as non-empty text that a table can hold."""
    value = next((row[key] for key in keys if row.get(key) is not None), None)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{location}: {' or '.join(keys)}: expected text, found {ascii(value)[:80]}")
    return _check_encoding(location, keys[0], value)


def read_gold_answer(location: str, row: dict[str, Any]) -> str:
    """The row's gold answer as text, formatted as in the problems stage; `UserError` naming `location` for others."""
    value = row.get("answer")
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise UserError(f"{location}: answer: expected text or a number, found {ascii(value)[:80]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{location}: answer: expected a finite number, found {value}")
    return _check_encoding(location, "answer", format_answer(value))


def _check_encoding(location: str, key: str, text: str) -> str:
    if has_lone_surrogate(text):
        raise UserError(f"{location}: {key}: expected UTF-8 text, found a lone surrogate")
    return text
