"""Solutions whose steps people labelled, and the tables that a judge labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import polars as pl

from stages.common.tables import PROBLEM, SAMPLE, STEP, content_hash
from stages.judge.step_labels import find_first_error

SPLITS = ("dev", "test")
"""The halves of all solutions: the first to choose prompts and thresholds by, the second for measuring and the gate."""


def choose_split(key: str) -> str:
    """One of `SPLITS`, by the hash of `key`: a solution's id, or the id of a problem that several solutions share."""
    return SPLITS[int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 2]


@dataclass(frozen=True)
class LabelledSolution:
    """One solution with a human label per step, None where people gave none: ProcessBench's end at the first error."""

    key: str
    problem: str
    steps: list[str]
    labels: list[bool | None]
    generator: str = ""
    """The model that wrote it, or its class in the benchmark; empty where the row does not say."""
    reference: str = ""
    """A reference solution, empty where there is none."""
    split_key: str = ""
    """What decides its split instead of its own key: the problem, where several solutions of one are labelled."""
    answer: str = ""
    """The gold answer, which rules compare; empty where there is none."""

    @classmethod
    def from_first_error(
        cls, key: str, problem: str, steps: list[str], first_error: int | None, generator: str = ""
    ) -> Self:
        """The steps before the 0-based `first_error` are correct, those after it unlabelled; None: all are correct."""
        known = len(steps) if first_error is None else first_error
        labels = [step < known if step <= known else None for step in range(len(steps))]
        return cls(key, problem, steps, labels, generator)

    @property
    def first_error(self) -> int | None:
        """0-based first incorrect step, None where there is none."""
        return find_first_error(self.labels)

    @property
    def is_correct(self) -> bool | None:
        """Whether all steps are correct; None where people labelled too few to tell."""
        return False if False in self.labels else True if all(self.labels) else None

    @property
    def split(self) -> str:
        """One of `SPLITS`."""
        return choose_split(self.split_key or self.key)

    @property
    def sample_id(self) -> str:
        """Its id in the tables that a judge labels."""
        return content_hash("people", self.key, self.problem, self.steps)

    @property
    def problem_id(self) -> str:
        """The id of its problem in these tables."""
        return content_hash("people", self.problem, *filter(None, (self.reference, self.answer)))


def build_tables(solutions: Sequence[LabelledSolution]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """PROBLEM, SAMPLE and STEP rows of distinct `solutions`."""
    problems, samples, steps = {}, [], []
    for each in {each.sample_id: each for each in solutions}.values():
        ids = {"problem_id": each.problem_id}
        problems[each.problem_id] = {**ids, "problem": each.problem, "solution": each.reference, "answer": each.answer}
        samples.append({"sample_id": each.sample_id, **ids, "completion": "".join(each.steps)})
        for step, (text, end) in enumerate(zip(each.steps, accumulate(map(len, each.steps)), strict=True)):
            steps.append((each.sample_id, each.problem_id, step, end - len(text), end))
    origin = {"split": "test", "source": "people", "origin": "people", "origin_row": 0, "task": "math"}
    sampling = {"policy": "", "sampling_hash": "", "sample_index": 0, "finish_reason": "stop"}
    return (
        pl.DataFrame([{**origin, **row} for row in problems.values()], schema=PROBLEM.schema),
        pl.DataFrame([{**sampling, **row} for row in samples], schema=SAMPLE.schema),
        pl.DataFrame(steps, schema=STEP.schema, orient="row"),
    )
