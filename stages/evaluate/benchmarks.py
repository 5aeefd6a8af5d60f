"""Benchmarks: problems with gold answers from the Hub or a local file, read whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.evaluate import BenchmarkParams, HubBenchmarkParams
from stages.common.provenance import compute_sha256
from stages.common.tables import PROBLEM, problem_id

_PROBLEM = ("problem", "question")
_SOLUTION = ("solution", "reference_solution")


def read_benchmark(name: str, params: BenchmarkParams) -> pl.DataFrame:
    """PROBLEM rows of benchmark `name`, in the order of its rows; their split is ``test`` and their source its name.

    Raises `FileNotFoundError`, or `ValueError` naming the row: a benchmark that is not whole is another benchmark.
    """
    if params.hub is not None:
        return _table(name, f"{params.hub.repo}@{params.hub.revision} {params.hub.split}", _hub_rows(params.hub))
    if params.file is None:
        raise ValueError(f"evaluate.benchmarks.{name}: neither of the hub nor a file")
    return read_problem_file(name, Path(params.file.path), params.file.sha256)


def read_problem_file(name: str, path: Path, sha256: str | None = None) -> pl.DataFrame:
    """PROBLEM rows of the JSON Lines file `path`, see `read_benchmark`; a file of another `sha256` is refused."""
    return _table(name, f"{path.name} sha256:{require_file(path, sha256)}", read_lines(path))


def require_file(path: Path, sha256: str | None) -> str:
    """The file's sha256; raise `FileNotFoundError`, or `ValueError` where the recipe asks for another `sha256`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    found = compute_sha256(path)
    if sha256 not in (None, found):
        raise ValueError(f"{path}: another file than the recipe's: its sha256 is {found}, expected {sha256}")
    return found


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands (file and 1-based line), and the row; `ValueError` naming a line that is no object."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # ValueError is also a line that is not UTF-8
                raise ValueError(f"{path}:{number}: not JSON ({' '.join(str(error).split())})") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}:{number}: expected an object, found {type(row).__name__}")
            yield f"{path}:{number}", row


def _hub_rows(params: HubBenchmarkParams) -> Iterator[tuple[str, dict[str, Any]]]:
    import datasets

    where = f"{params.repo}@{params.revision} {params.split}"
    try:
        rows = datasets.load_dataset(params.repo, revision=params.revision, split=params.split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:  # no network, no such split or data set
        reason = " ".join(str(error).split())
        raise ValueError(f"{where}: could not be read ({type(error).__name__}: {reason})") from error
    for number, row in enumerate(rows):
        yield f"{where}, row {number}", row


def _table(name: str, origin: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> pl.DataFrame:
    problems: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    for number, (where, row) in enumerate(rows):
        problem = _text(where, row, _PROBLEM)
        answer = answer_text(where, row)
        identity = problem_id(problem, answer)
        if identity in seen:
            raise ValueError(f"{where}: the same problem and answer as {seen[identity]}")
        seen[identity] = where
        solution = _text(where, row, _SOLUTION) if any(row.get(key) is not None for key in _SOLUTION) else ""
        problems.append(
            {
                "problem_id": identity,
                "split": "test",
                "source": name,
                "problem": problem,
                "solution": solution,
                "answer": answer,
                "origin": origin,
                "origin_row": number,
                "task": "math",
            }
        )
    if not problems:
        raise ValueError(f"{origin}: no problem to evaluate")
    return pl.DataFrame(problems, schema=PROBLEM.schema)


def _text(where: str, row: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of `names` that the row has, as text that is not empty and can be written."""
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: {' or '.join(names)}: expected text, found {_shown(value)}")
    _check_encoding(where, names[0], value)
    return value


def answer_text(where: str, row: dict[str, Any]) -> str:
    """The gold answer as the problems stage writes it: 27.0, which data frames make of 27, is 27."""
    value = row.get("answer")
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError(f"{where}: answer: expected text or a number, found {_shown(value)}")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}: answer: expected a finite number, found {value}")
        return str(int(value)) if value.is_integer() else str(value)
    text = str(value).strip()
    _check_encoding(where, "answer", text)
    return text


def _check_encoding(where: str, name: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: {name}: half a character (a lone surrogate), which no table can hold") from error


def _shown(value: object) -> str:
    return ascii(value)[:80]
