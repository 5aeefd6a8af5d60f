"""Majority vote: the answer that most samples of a problem agree on, by the verifier's equality and not by text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import polars as pl

AnswerPair = tuple[str, str]
Equality = Callable[[Sequence[AnswerPair]], Iterable[bool | None]]
"""Whether the answers of each pair are equal; None if unknown, which counts as different."""


def choose_majority(samples: pl.DataFrame, outcomes: pl.DataFrame, equality: Equality) -> pl.DataFrame:
    """The first sample of each problem's most frequent answer.

    `samples` are SAMPLE rows, `outcomes` the OUTCOME rows of the same samples. Answers are grouped by text first and
    then by `equality`, each text joining the first group whose earliest text it equals. The largest group wins; of
    equally large ones, that with the earliest sample. A sample without an answer has no vote, unless no sample has one.
    Returns ``problem_id, sample_id, answer, is_correct, num_votes``, one row per problem, sorted by problem_id.
    """
    ballots = (
        samples.select("problem_id", "sample_id", "sample_index")
        .join(outcomes.select("sample_id", "answer", "is_correct"), on="sample_id", how="left", validate="1:1")
        .sort("problem_id", "sample_index", "sample_id")
    )
    problems = [list(group.iter_rows(named=True)) for group in ballots.partition_by("problem_id", maintain_order=True)]
    texts = [list(dict.fromkeys(row["answer"] for row in rows if row["answer"] is not None)) for rows in problems]
    pairs = sorted({pair for unique in texts for pair in _list_pairs(unique)})
    verdicts = dict(zip(pairs, equality(pairs), strict=True)) if pairs else {}
    equal = {pair for pair, verdict in verdicts.items() if verdict is True}
    winners = [
        _choose_winner(rows, _group_answers(unique, equal)) for rows, unique in zip(problems, texts, strict=True)
    ]
    schema = {
        "problem_id": pl.String,
        "sample_id": pl.String,
        "answer": pl.String,
        "is_correct": pl.Boolean,
        "num_votes": pl.Int64,
    }
    return pl.DataFrame(winners, schema=schema)


def _list_pairs(texts: list[str]) -> list[AnswerPair]:
    """Every two of `texts`, the earlier one first."""
    return [(earlier, later) for index, later in enumerate(texts) for earlier in texts[:index]]


def _group_answers(texts: list[str], equal: set[AnswerPair]) -> dict[str, str]:
    """The earliest text of the group that each of `texts` belongs to."""
    group: dict[str, str] = {}
    for text in texts:
        heads = dict.fromkeys(group.values())
        group[text] = next((head for head in heads if (head, text) in equal), text)
    return group


def _choose_winner(rows: list[dict[str, object]], group: dict[str, str]) -> dict[str, object]:
    """The earliest of `rows` (one problem's, by index) in the largest group."""
    num_votes: dict[str | None, int] = {}
    first: dict[str | None, dict[str, object]] = {}
    for row in rows:
        answer = row["answer"]
        head = group[answer] if isinstance(answer, str) else None
        num_votes[head] = num_votes.get(head, 0) + 1
        first.setdefault(head, row)
    answered = [head for head in num_votes if head is not None]
    # max() keeps the first of equals, and the groups are in the order of their earliest samples.
    best = max(answered, key=lambda head: num_votes[head]) if answered else None
    winner = {key: first[best][key] for key in ("problem_id", "sample_id", "answer", "is_correct")}
    return {**winner, "num_votes": num_votes[best]}
