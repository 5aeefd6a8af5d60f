"""One problem in all the rounds and evaluations that sampled it, and what changed from each to the next."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.tables import SAMPLE
from tools.audit.key_ranges import read_where
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import IndexedProblem, ProblemIndex
from tools.audit.table_sets import TableSet

MAX_ANSWERS = 5
"""Answers named per round, the most frequent."""


def read_comparison(root: Path, table_sets: Iterable[TableSet], index: ProblemIndex, problem_id: str) -> dict[str, Any]:
    """`cards`, one per round or evaluation that sampled the problem, and their `changes` (`describe_changes`)."""
    cards = []
    for tables in table_sets:
        of_problem = pl.col("problem_id") == problem_id
        if not read_where(root / tables.samples, SAMPLE, of_problem, ["problem_id"]).is_empty():
            tags = index.find_tags(tables.name, problem_id) if tables.selection else {}
            cards.append(make_card(root, tables, IndexedProblem(tables.name, problem_id, tags)))
    return {"cards": cards, "changes": describe_changes(cards)}


def describe_changes(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per card of one problem: its counts, and which steps and completions the card before it does not have.

    `new_steps`: per sample_id the numbers of steps whose text no completion of the card before holds; `repeated`: the
    sample_ids of completions that the card before holds as they are. Both are empty for the first.
    """
    changes = []
    before: dict[str, Any] | None = None
    for card in cards:
        changes.append({**_count(card), **_compare(before, card)})
        before = card
    return changes


def _count(card: dict[str, Any]) -> dict[str, Any]:
    completions = card["completions"]
    labels = Counter(step["label"] for completion in completions for step in completion["steps"])
    answered = Counter(completion["verdict"] for completion in completions)
    answers = Counter(completion["answer"] for completion in completions if completion["answer"])
    return {
        "round": card["round"],
        "num_samples": len(completions),
        "num_correct": answered["correct"],
        "num_unknown": answered["unknown"],
        "num_contradictions": sum(
            completion["verdict"] == "correct" and any(step["label"] == "incorrect" for step in completion["steps"])
            for completion in completions
        ),
        "num_steps": labels.total(),
        "num_incorrect_steps": labels["incorrect"],
        "num_different": len({_get_text(completion) for completion in completions}),
        "answers": sorted(answers.items(), key=lambda item: (-item[1], item[0]))[:MAX_ANSWERS],
    }


def _compare(before: dict[str, Any] | None, card: dict[str, Any]) -> dict[str, Any]:
    if before is None:
        return {"since": None, "new_steps": {}, "repeated": []}
    texts = {_get_text(completion) for completion in before["completions"]}
    steps = {step["text"].strip() for completion in before["completions"] for step in completion["steps"]}
    return {
        "since": before["round"],
        "new_steps": {
            completion["sample_id"]: numbers
            for completion in card["completions"]
            if (numbers := [step["step"] for step in completion["steps"] if step["text"].strip() not in steps])
        },
        "repeated": [one["sample_id"] for one in card["completions"] if _get_text(one) in texts],
    }


def _get_text(completion: dict[str, Any]) -> str:
    """The completion's text, which is shown whole where it has no steps."""
    return completion["text"] or "".join(step["text"] for step in completion["steps"])
