"""What the page shows of one problem: its text and its completions with steps, labels and replies, as plain data."""

from pathlib import Path
from typing import Any

import polars as pl

from stages.common.human_labels import hash_step_text
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE
from tools.audit.key_ranges import read_where
from tools.audit.lineage.sample_lineage import TableRow, read_first, read_labelled_steps, read_replies
from tools.audit.lineage.show import LABEL_WORDS, describe_reply
from tools.audit.page.problem_index import IndexedProblem
from tools.audit.table_sets import TableSet

MAX_COMPLETIONS = 32
"""Completions shown of a problem."""

MAX_CHARS = 200_000
"""Characters of one text that reach the page; the page shows fewer until it is asked."""


def cut_text(text: str) -> str:
    """`text`, or as much of it as reaches the page, and that it is cut."""
    if len(text) <= MAX_CHARS:
        return text
    notice = f" ... [cut here: {len(text):,} characters in all]"
    return text[: MAX_CHARS - len(notice)] + notice


def make_card(root: Path, tables: TableSet, problem: IndexedProblem) -> dict[str, Any]:
    """The card of a problem of a round; every text is bounded, nothing is escaped."""
    of_problem = pl.col("problem_id") == problem.problem_id
    samples = read_where(root / tables.samples, SAMPLE, of_problem).sort("sample_index", "sample_id")
    outcomes = {row["sample_id"]: row for row in read_where(root / tables.outcomes, OUTCOME, of_problem).to_dicts()}
    steps, replies = read_labelled_steps(root, tables, of_problem), read_replies(root, tables, of_problem)
    completions = []
    for sample in samples.head(MAX_COMPLETIONS).to_dicts():
        identity = sample["sample_id"]
        completions.append(
            _describe_completion(
                tables,
                sample,
                [row for row in steps if row["sample_id"] == identity],
                [row for row in replies if row["sample_id"] == identity],
                outcomes.get(identity),
                problem.tags.get(identity, []),
            )
        )
    return {
        "round": tables.name,
        "problem_id": problem.problem_id,
        "num_omitted": max(samples.height - MAX_COMPLETIONS, 0),
        **describe_problem(read_first(root / tables.problems, PROBLEM, of_problem)),
        "completions": completions,
    }


def describe_problem(row: TableRow | None) -> dict[str, Any]:
    if row is None:
        return {"problem": "", "gold": "", "reference": "", "source": "not in the table of problems", "origin": ""}
    return {
        "problem": cut_text(row["problem"]),
        "gold": cut_text(row["answer"]),
        "reference": cut_text(row["solution"]),
        "source": row["source"],
        "origin": f"{row['origin']} row {row['origin_row']}",
    }


def _describe_completion(
    tables: TableSet,
    sample: TableRow,
    steps: list[TableRow],
    reply_rows: list[TableRow],
    outcome: TableRow | None,
    tags: list[str],
) -> dict[str, Any]:
    identity, index = sample["sample_id"], sample["sample_index"]
    judge = next((row["judge"] for row in steps if row["judge"]), "none")
    return {
        "sample_id": identity,
        "sample_index": index,
        "judge": judge,
        "tags": tags,
        **describe_verdict(outcome),
        "answer": cut_text((outcome and outcome["answer"]) or ""),
        "text": "" if steps else cut_text(sample["completion"]),
        "steps": [_describe_step(sample["completion"], row) for row in steps],
        "replies": [
            {
                "head": describe_reply(row),
                "reasoning": cut_text(row["reasoning"] or ""),
                "text": cut_text(row["text"] or ""),
            }
            for row in reply_rows
        ],
        "lineage": [
            f"sample {identity}, index {index}, seed {sample['seed']}",
            f"policy {sample['policy']} ({tables.policy}), sampling_hash {sample['sampling_hash']}",
            f"{sample['prompt_tokens']} tokens in, {sample['completion_tokens']} out, {sample['finish_reason']}",
            f"judge {judge} ({tables.judge.kind})",
            f"verifier {outcome['verifier'] if outcome else 'none'}",
            f"dataset {', '.join(tags[-1:])}",
            f"more: stepkto audit show {identity} --round {tables.name}",
        ],
    }


def describe_verdict(outcome: TableRow | None) -> dict[str, str]:
    """What the verifier says of a completion, and why."""
    if outcome is None:
        return {"verdict": "none", "reason": ""}
    answer = "no answer"
    if outcome["answer"] is not None:
        answer = f"{cut_text(outcome['answer'])} (by {outcome['extraction_rule']})"
    return {"verdict": LABEL_WORDS[outcome["is_correct"]], "reason": f"{answer}; {outcome['reason']}"}


def _describe_step(completion: str, row: TableRow) -> dict[str, Any]:
    return {
        "step": row["step"],
        "text": get_step_text(completion, row),
        "text_hash": hash_step_text(completion[row["start"] : row["end"]]),
        **describe_step_label(row),
    }


def get_step_text(completion: str, row: TableRow) -> str:
    """The text of a STEP row's span, bounded."""
    return cut_text(completion[row["start"] : row["end"]])


def describe_step_label(row: TableRow) -> dict[str, Any]:
    """What the judge says of a step, and why."""
    return {
        "label": "none" if row["judge"] is None else LABEL_WORDS[row["label"]],
        "reason": cut_text(row["reason"] or ""),
        "agreement": row["agreement"],
        "num_votes": row["num_votes"],
    }
