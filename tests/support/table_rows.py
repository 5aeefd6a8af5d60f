"""Rows of the tables between stages, each with the cells that a test names, and the round that they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.sample import SampleParams
from stages.common.params.split import SplitParams
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    REPLY,
    SAMPLE,
    SELECTION,
    STEP,
    VERIFIER_RESPONSE,
    Table,
    write_table,
)
from tools.audit.table_sets import TableSet

Row = dict[str, Any]


def make_table_set(name: str = "M1", **changes: Any) -> TableSet:
    """A round whose tables lie where the graph has them, with a judge that is a language model; none are written."""
    given: dict[str, Any] = {
        "policy": Path("models/M0"),
        "shard_digits": 0,
        "seed": 1,
        "split": "train",
        "num_problems": None,
        "sample": SampleParams.model_construct(),
        "samples": Path("data/samples", name),
        "outcome": OutcomeParams.model_construct(),
        "outcomes": Path("data/outcomes", name),
        "splitter": SplitParams.model_construct(),
        "steps": Path("data/steps", name),
        "judge": JudgeParams.model_construct(kind="llm"),
        "labels": Path("data/labels", name),
        "selection": None,
    }
    return TableSet(name=name, **given | changes)


def make_problem(problem_id: str, problem: str = "-", **cells: Any) -> Row:
    """A row of table PROBLEM."""
    shared = {"split": "train", "source": "s", "solution": "-", "answer": "1", "origin": "o", "origin_row": 0}
    return shared | {"problem_id": problem_id, "problem": problem, "task": "math"} | cells


def make_sample(ids: Row, completion: str, **cells: Any) -> Row:
    """A row of table SAMPLE; `ids` are its sample_id and problem_id."""
    shared = {"policy": "p", "sampling_hash": "s", "sample_index": 0, "finish_reason": "stop"}
    return dict.fromkeys(SAMPLE.schema) | shared | ids | {"completion": completion} | cells


def make_steps(ids: Row, texts: Iterable[str]) -> list[Row]:
    """Rows of table STEP: the completion that `texts` join to."""
    rows: list[Row] = []
    start = 0
    for step, text in enumerate(texts):
        rows.append(ids | {"step": step, "start": start, "end": start + len(text)})
        start += len(text)
    return rows


def write_rows(root: Path, tables: TableSet, **rows: Iterable[Row]) -> None:
    """Write the tables of a round that `rows` name (problems, samples, ..., replies, responses) below `root`."""
    places: dict[str, tuple[Path | None, Table]] = {
        "problems": (tables.problems, PROBLEM),
        "samples": (tables.samples, SAMPLE),
        "outcomes": (tables.outcomes, OUTCOME),
        "responses": (tables.verifier_responses, VERIFIER_RESPONSE),
        "selections": (tables.selection.selections if tables.selection else None, SELECTION),
        "steps": (tables.steps, STEP),
        "labels": (tables.labels, LABEL),
        "replies": (tables.replies, REPLY),
    }
    for name, of_table in rows.items():
        folder, table = places[name]
        assert folder is not None, f"the round has no {name}"
        write_table(root / folder, table, pl.DataFrame(list(of_table), schema=table.schema), 0)
