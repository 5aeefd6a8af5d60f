"""Solutions whose first incorrect step people have found, in the format of ProcessBench (arXiv 2412.06559)."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.raw_rows import read_objects
from stages.common.tables import PROBLEM, SAMPLE, STEP, content_hash

HALVES = ("all", "first", "second")


@dataclass(frozen=True)
class ProcessBenchRow:
    """One solution; `first_error` is the 0-based first incorrect step, None where all are correct."""

    key: str
    problem: str
    steps: list[str]
    first_error: int | None
    generator: str = ""
    """The model that wrote it, empty where the row does not say."""

    @property
    def half(self) -> str:
        """Half of the rows by the hash of their id: the first to develop rules on, the second to test them on."""
        return HALVES[1 + int(hashlib.sha256(self.key.encode()).hexdigest()[:8], 16) % 2]

    @property
    def sample_id(self) -> str:
        """Its id in the tables that a judge labels."""
        return content_hash("people", self.key, self.problem, self.steps)


def read_processbench(path: Path) -> Iterator[ProcessBenchRow]:
    """Rows of a file with id, problem, steps and label (-1 for none); `UserError` names the first bad row."""
    for location, row in read_objects(path):
        try:
            label, steps = row["label"], row["steps"]
            is_typed = isinstance(label, int) and isinstance(row["problem"], str) and isinstance(row["id"], str)
            if not is_typed or not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
                raise TypeError("a value of another type")
            if not -1 <= label < len(steps):
                raise ValueError(f"label {label} of {len(steps)} steps")
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{location}: expected id, problem, steps and label: {error!r}") from error
        first_error = None if label == -1 else label
        yield ProcessBenchRow(row["id"], row["problem"], steps, first_error, str(row.get("generator") or ""))


def build_tables(rows: Sequence[ProcessBenchRow]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """PROBLEM, SAMPLE and STEP rows of distinct `rows`. There are no reference solutions."""
    problems, samples, steps = {}, [], []
    for row in {row.sample_id: row for row in rows}.values():
        problem_id = content_hash("people", row.problem)
        problems[problem_id] = {"problem_id": problem_id, "problem": row.problem}
        samples.append({"sample_id": row.sample_id, "problem_id": problem_id, "completion": "".join(row.steps)})
        ends = list(accumulate(map(len, row.steps)))
        for step, (text, end) in enumerate(zip(row.steps, ends, strict=True)):
            steps.append((row.sample_id, problem_id, step, end - len(text), end))
    origin = {"split": "test", "source": "people", "solution": "", "answer": "", "origin": "people", "origin_row": 0}
    sampling = {"policy": "", "sampling_hash": "", "sample_index": 0, "finish_reason": "stop"}
    return (
        pl.DataFrame([{**origin, "task": "math", **row} for row in problems.values()], schema=PROBLEM.schema),
        pl.DataFrame([{**sampling, **row} for row in samples], schema=SAMPLE.schema),
        pl.DataFrame(steps, schema=STEP.schema, orient="row"),
    )
