"""Solutions sampled elsewhere, read from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import SAMPLE, DropLog, problem_id, sample_id


def recorded_samples(
    problems: pl.DataFrame, path: Path, policy: str, settings: str, samples: int, drops: DropLog
) -> pl.DataFrame:
    """Samples of `problems` (PROBLEM columns) in `path`: JSON Lines with `problem`, `answer` and a list `solutions`.

    At most `samples` per problem, in the file's order, whatever else the rows hold; `policy` and `settings` are the
    hashes written beside them. A row or solution that cannot be used is counted in `drops` and changes no other: a
    solution keeps its place in its list as its index. A problem given twice is taken once. Seeds and tokens were not
    recorded and are null. Raises `FileNotFoundError` where there is no file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"sample.recorded.path: {path}: no such file")
    wanted = set(problems["problem_id"])
    taken: set[str] = set()
    rows: list[dict[str, Any]] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path.name}:{number}"
            row = _read_row(line, where, drops)
            if row is None:
                continue
            identity = problem_id(row["problem"], _answer_text(row["answer"]))
            if identity not in wanted:
                drops.drop("problem not among those asked for", where, row["problem"])
            elif identity in taken:
                drops.drop("problem given before", where, row["problem"])
            else:
                taken.add(identity)
                for index, text in _texts(row["solutions"], samples, where, drops):
                    rows.append(_sample(identity, policy, settings, index, text))
    return pl.DataFrame(rows, schema=SAMPLE.schema)


def _read_row(line: bytes, where: str, drops: DropLog) -> dict[str, Any] | None:
    """The row in `line` with all its keys, or None with the reason counted."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # ValueError is also a line that is not UTF-8
        drops.drop("not JSON", where, line.decode("utf-8", "replace"))
        return None
    kinds = {"problem": str, "answer": (str, int, float), "solutions": list}
    if not isinstance(row, dict):
        drops.drop("not an object", where, line.decode("utf-8", "replace"))
        return None
    for key, kind in kinds.items():
        if not isinstance(row.get(key), kind):  # type: ignore[arg-type]  # a tuple of types is one
            drops.drop(f"{key} missing or of another type", where, line.decode("utf-8", "replace"))
            return None
    return row


def _answer_text(answer: str | int | float) -> str:
    """The gold answer as the problems stage writes it: 27.0, which data frames make of 27, is 27."""
    if isinstance(answer, float) and answer.is_integer():
        return str(int(answer))
    return str(answer).strip()


def _texts(solutions: list[Any], most: int, where: str, drops: DropLog) -> Iterator[tuple[int, str]]:
    for index, text in enumerate(solutions[:most]):
        if not isinstance(text, str):
            drops.drop("solution not text", f"{where}, solution {index}", text)
        elif not text.strip():
            drops.drop("solution empty", f"{where}, solution {index}")
        elif not text.isascii() and _has_lone_surrogate(text):
            drops.drop("solution badly encoded", f"{where}, solution {index}", text)
        else:
            yield index, text


def _has_lone_surrogate(text: str) -> bool:
    """Whether JSON escapes left half a character, which no table can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _sample(problem: str, policy: str, settings: str, index: int, text: str) -> dict[str, Any]:
    return {
        "sample_id": sample_id(problem, policy, settings, index, text),
        "problem_id": problem,
        "policy": policy,
        "sampling_hash": settings,
        "sample_index": index,
        "seed": None,
        "completion": text,
        "finish_reason": "stop",
        "prompt_tokens": None,
        "completion_tokens": None,
    }
