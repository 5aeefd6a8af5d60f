"""What one person says of steps, checked against the tables and appended to the file of human labels."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from stages.common.errors import UserError
from stages.common.human_labels import MAX_STEP, HumanLabel, StepLabel, append_human_labels
from stages.common.tables import LABEL
from tools.audit.key_ranges import read_where
from tools.audit.lineage.show import LABEL_WORDS
from tools.audit.step_hashes import read_step_hashes
from tools.audit.table_sets import TableSet

GUIDELINE = Path(__file__).with_name("static") / "guideline.md"

MAX_MARKS = 1000
"""Steps that one request can label."""


def hash_version(*texts: str) -> str:
    """First 8 hex digits of a hash of `texts`."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


@cache
def read_guideline(path: Path = GUIDELINE) -> str:
    return path.read_text(encoding="utf-8")


class StepMark(BaseModel):
    """A person's label of one step, as the page sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    step: int = Field(ge=0, le=MAX_STEP)
    label: StepLabel
    seconds: float = Field(ge=0, allow_inf_nan=False)


class SampleMarks(BaseModel):
    """A person's labels of steps of one sample, as the page sends them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    round: str
    sample_id: str
    marks: list[StepMark] = Field(min_length=1, max_length=MAX_MARKS)


@dataclass(frozen=True)
class LabelWriter:
    """Who labels, where labels go, and the page and guideline that they are given on."""

    root: Path
    table_sets: dict[str, TableSet]
    annotator: str
    path: Path
    page_version: str
    guideline_version: str

    def append(
        self,
        given: SampleMarks,
        mode: Literal["first_error", "per_step"],
        queue: Literal["random", "value", "browsing"],
        *,
        is_blind: bool,
        kind: Literal["own", "gold"] = "own",
    ) -> list[HumanLabel]:
        """Append a line per mark; raises `UserError`, and appends nothing, where one is on a step that is not there."""
        judge_rows = read_judge_labels(self.root, self.table_sets, given.round, given.sample_id)
        tables = self.table_sets[given.round]
        hashes = read_step_hashes(self.root, tables, {given.sample_id}).get(given.sample_id, {})
        missing = [mark.step for mark in given.marks if mark.step not in judge_rows or mark.step not in hashes]
        if missing:
            raise UserError(f"sample_id, step: no label of {given.sample_id[:80]} step {missing[0]} in {given.round}")
        shared = {
            "annotator": self.annotator,
            "round": given.round,
            "sample_id": given.sample_id,
            "kind": kind,
            "mode": mode,
            "queue": queue,
            "is_blind": is_blind,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "page_version": self.page_version,
            "guideline_version": self.guideline_version,
        }
        labels = []
        for mark in given.marks:
            row = judge_rows[mark.step]
            facts = {"problem_id": row["problem_id"], "judge_label": LABEL_WORDS[row["label"]], "judge": row["judge"]}
            facts["text_hash"] = hashes[mark.step]
            labels.append(HumanLabel.model_validate(shared | mark.model_dump() | facts))
        append_human_labels(self.path, labels)
        return labels


def read_judge_labels(
    root: Path, table_sets: dict[str, TableSet], round_name: str, sample_id: str
) -> dict[int, dict[str, Any]]:
    """LABEL rows of a sample by step, none where it is not there; raises `UserError` for an unknown round."""
    tables = table_sets.get(round_name)
    if tables is None or tables.labels is None:
        raise UserError(f"round: expected one of {', '.join(table_sets)}, found {round_name[:80]!r}")
    rows = read_where(root / tables.labels, LABEL, pl.col("sample_id") == sample_id)
    return {row["step"]: row for row in rows.iter_rows(named=True)}
