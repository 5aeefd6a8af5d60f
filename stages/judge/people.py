"""Solutions whose first wrong step people have found, in the shape of ProcessBench (arXiv 2412.06559)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import polars as pl

from stages.common.tables import PROBLEM, SAMPLE, STEP, content_hash

HALVES = ("all", "first", "second")


@dataclass(frozen=True)
class Solution:
    """A row of ProcessBench: `first_error` is the 0-based first wrong step, None where all are right."""

    key: str
    problem: str
    steps: list[str]
    first_error: int | None
    generator: str = ""
    """The model that wrote it, empty where the row does not say."""

    @property
    def half(self) -> str:
        """Half of the rows by the hash of their id: one to set rules by, one to test them on."""
        return HALVES[1 + int(hashlib.sha256(self.key.encode()).hexdigest()[:8], 16) % 2]

    @property
    def sample_id(self) -> str:
        """Its id in the tables that a judge is given."""
        return content_hash("people", self.key, self.problem, self.steps)


def read_solutions(path: Path) -> Iterator[Solution]:
    """Rows of a ProcessBench file: id, problem, steps, label (-1 for none); `ValueError` names the first bad row."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                label, steps = row["label"], row["steps"]
                whole = isinstance(label, int) and isinstance(row["problem"], str) and isinstance(row["id"], str)
                if not whole or not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
                    raise TypeError("a value of another type")
                if not -1 <= label < len(steps):
                    raise ValueError(f"label {label} of {len(steps)} steps")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(f"{path}: row {number}: expected id, problem, steps and label: {error!r}") from error
            error_at = None if label == -1 else label
            yield Solution(row["id"], row["problem"], steps, error_at, str(row.get("generator") or ""))


def as_tables(solutions: Sequence[Solution]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """PROBLEM, SAMPLE and STEP rows of `solutions`, of equal ones once. There are no reference solutions."""
    problems, samples, steps = {}, [], []
    for each in {solution.sample_id: solution for solution in solutions}.values():
        problem = content_hash("people", each.problem)
        problems[problem] = (problem, "test", "people", each.problem, "", "", "people", 0)
        samples.append((each.sample_id, problem, "", "", 0, None, "".join(each.steps), "stop", None, None))
        ends = list(accumulate(map(len, each.steps)))
        for step, (text, end) in enumerate(zip(each.steps, ends, strict=True)):
            steps.append((each.sample_id, problem, step, end - len(text), end))
    return (
        pl.DataFrame(list(problems.values()), schema=PROBLEM.schema, orient="row"),
        pl.DataFrame(samples, schema=SAMPLE.schema, orient="row"),
        pl.DataFrame(steps, schema=STEP.schema, orient="row"),
    )
