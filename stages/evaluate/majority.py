"""Majority vote: which answer most samples of a problem agree on, by the grader's equality and not by text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import polars as pl

Pair = tuple[str, str]
Equality = Callable[[Sequence[Pair]], Iterable[bool | None]]
"""Says of each pair of answers whether they are equal; None where it cannot tell, which does not join them."""


def majority_winners(samples: pl.DataFrame, outcomes: pl.DataFrame, equality: Equality) -> pl.DataFrame:
    """The sample that speaks for each problem's most frequent answer.

    `samples` are SAMPLE rows, `outcomes` the OUTCOME rows of the same samples. Answers are grouped by text first and
    then by `equality`, each text joining the first group whose earliest text it equals. The largest group wins, of
    equal ones that of the earliest sample. A sample without an answer has no vote, unless no sample has one.
    Returns ``problem_id, sample_id, answer, value, votes``, one row per problem, sorted by problem_id.
    """
    ballots = (
        samples.select("problem_id", "sample_id", "sample_index")
        .join(outcomes.select("sample_id", "answer", "is_correct"), on="sample_id", how="left", validate="1:1")
        .sort("problem_id", "sample_index", "sample_id")
    )
    problems = [list(group.iter_rows(named=True)) for group in ballots.partition_by("problem_id", maintain_order=True)]
    texts = [list(dict.fromkeys(row["answer"] for row in rows if row["answer"] is not None)) for rows in problems]
    pairs = sorted({pair for distinct in texts for pair in _pairs(distinct)})
    verdicts = dict(zip(pairs, equality(pairs), strict=True)) if pairs else {}
    equal = {pair for pair, verdict in verdicts.items() if verdict is True}
    winners = [_winner(rows, _groups(distinct, equal)) for rows, distinct in zip(problems, texts, strict=True)]
    schema = {
        "problem_id": pl.String,
        "sample_id": pl.String,
        "answer": pl.String,
        "is_correct": pl.Boolean,
        "votes": pl.Int64,
    }
    return pl.DataFrame(winners, schema=schema)


def _pairs(distinct: list[str]) -> list[Pair]:
    """Every two of `distinct`, the earlier one first."""
    return [(earlier, later) for at, later in enumerate(distinct) for earlier in distinct[:at]]


def _groups(distinct: list[str], equal: set[Pair]) -> dict[str, str]:
    """The earliest text of the group that each of `distinct` belongs to."""
    group: dict[str, str] = {}
    for text in distinct:
        heads = dict.fromkeys(group.values())
        group[text] = next((head for head in heads if (head, text) in equal), text)
    return group


def _winner(rows: list[dict[str, object]], group: dict[str, str]) -> dict[str, object]:
    """The earliest of `rows` (one problem's, by index) in the largest group."""
    votes: dict[str | None, int] = {}
    first: dict[str | None, dict[str, object]] = {}
    for row in rows:
        answer = row["answer"]
        head = group[answer] if isinstance(answer, str) else None
        votes[head] = votes.get(head, 0) + 1
        first.setdefault(head, row)
    answered = [head for head in votes if head is not None]
    # max() keeps the first of equals, and the groups stand in the order of their earliest samples.
    best = max(answered, key=lambda head: votes[head]) if answered else None
    winner = first[best]
    return {
        **{name: winner[name] for name in ("problem_id", "sample_id", "answer", "is_correct")},
        "votes": votes[best],
    }
