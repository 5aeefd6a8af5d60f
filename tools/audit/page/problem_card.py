"""What the page shows of one problem: its text and its solutions with steps, labels and replies, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, STEP
from tools.audit.key_ranges import ALL_STEPS, STEP_KEY, read_where
from tools.audit.lineage.sample_lineage import TableRow, read_replies
from tools.audit.page.problem_index import Place
from tools.audit.table_sets import TableSet

SOLUTIONS = 32
"""Solutions of a problem that are shown at most."""

CHARACTERS = 200_000
"""Characters of one text that reach the page; the page shows fewer until it is asked."""

WORDS = {True: "correct", False: "incorrect", None: "unknown"}


def make_card(root: Path, part: TableSet, place: Place) -> dict[str, Any]:
    """The card of a problem in round `part`; every text is bounded, nothing is escaped."""
    own = pl.col("problem_id") == place.problem_id
    problem = next(iter(read_where(root / part.problems, PROBLEM, own).to_dicts()), None)
    samples = read_where(root / part.samples, SAMPLE, own).sort("sample_index", "sample_id")
    outcomes = {row["sample_id"]: row for row in read_where(root / part.outcomes, OUTCOME, own).to_dicts()}
    steps, replies = _steps(root, part, own), _replies(root, part, own)
    return {
        "round": part.name,
        "problem_id": place.problem_id,
        "left_out": max(samples.height - SOLUTIONS, 0),
        **_problem(problem),
        "solutions": [
            _solution(part, sample, steps, replies, outcomes.get(sample["sample_id"]), place)
            for sample in samples.head(SOLUTIONS).to_dicts()
        ],
    }


def _problem(row: TableRow | None) -> dict[str, Any]:
    if row is None:
        return {"problem": "", "gold": "", "reference": "", "source": "not in data/problems", "origin": ""}
    return {
        "problem": row["problem"][:CHARACTERS],
        "gold": row["answer"][:CHARACTERS],
        "reference": row["solution"][:CHARACTERS],
        "source": row["source"],
        "origin": f"{row['origin']} row {row['origin_row']}",
    }


def _steps(root: Path, part: TableSet, own: pl.Expr) -> list[TableRow]:
    assert part.steps is not None
    assert part.labels is not None
    steps, judged = read_where(root / part.steps, STEP, own), read_where(root / part.labels, LABEL, own)
    return steps.join(judged, on=STEP_KEY, how="left").sort("step").to_dicts()


def _replies(root: Path, part: TableSet, own: pl.Expr) -> list[TableRow]:
    return read_replies(root, part, own)


def _solution(
    part: TableSet,
    sample: TableRow,
    steps: list[TableRow],
    replies: list[TableRow],
    outcome: TableRow | None,
    place: Place,
) -> dict[str, Any]:
    identity = sample["sample_id"]
    own = [row for row in steps if row["sample_id"] == identity]
    judge = next((row["judge"] for row in own if row["judge"]), "none")
    return {
        "sample_id": identity,
        "index": sample["sample_index"],
        "judge": judge,
        "tags": place.tags.get(identity, []),
        "verdict": "none" if outcome is None else WORDS[outcome["is_correct"]],
        "how": _how(outcome),
        "steps": [_step(sample["completion"], row) for row in own],
        "replies": [_reply(row) for row in replies if row["sample_id"] == identity],
        "lineage": [
            f"sample {identity}, index {sample['sample_index']}, seed {sample['seed']}",
            f"policy {sample['policy']} ({part.policy}), settings {sample['sampling_hash']}",
            f"{sample['prompt_tokens']} tokens in, {sample['completion_tokens']} out, {sample['finish_reason']}",
            f"judge {judge} ({part.judge.kind})",
            f"grader {outcome['verifier'] if outcome else 'none'}",
            f"data set {', '.join(place.tags.get(identity, [])[-1:])}",
            f"all of it: python -m tools.audit show {identity} --round {part.name}",
        ],
    }


def _how(outcome: TableRow | None) -> str:
    if outcome is None:
        return ""
    found = (
        "no answer"
        if outcome["answer"] is None
        else f"{outcome['answer'][:CHARACTERS]} (by {outcome['extraction_rule']})"
    )
    return f"{found}; {outcome['reason']}"


def _step(text: str, row: TableRow) -> dict[str, Any]:
    judged = row["judge"] is not None
    return {
        "step": row["step"],
        "text": text[row["start"] : row["end"]][:CHARACTERS],
        "label": WORDS[row["label"]] if judged else "none",
        "reason": row["reason"] or "",
        "agreement": row["agreement"],
        "votes": row["num_votes"],
    }


def _reply(row: TableRow) -> dict[str, Any]:
    about = "all steps" if row["step"] == ALL_STEPS else f"step {row['step']}"
    return {
        "head": f"judge {row['judge_index']}, {about}, vote {row['vote']}, try {row['attempt']}, {row['model']}",
        "text": (row["text"] or "")[:CHARACTERS],
        "fault": row["error"] or "",
    }
