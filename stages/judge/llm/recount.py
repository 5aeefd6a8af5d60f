"""Votes read again from the replies that were kept."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import polars as pl

from stages.judge.llm.replies import NO_REPLY, InvalidReply, StepVote, Vote, read_reply
from stages.judge.llm.vote_requests import ALL_STEPS
from stages.judge.llm.votes import combine_labels, count_votes
from stages.judge.step_labels import SampleLabels, StepLabel

VOTE_COUNTS = {
    "sample_id": pl.String,
    "step": pl.Int32,
    "votes_correct": pl.Int32,
    "votes_incorrect": pl.Int32,
    "votes_invalid": pl.Int32,
}
"""Columns of `count_kept_votes`."""


def read_kept_reply(row: dict[str, Any], num_steps: int) -> list[StepVote] | InvalidReply:
    """The votes of a REPLY row on a completion of `num_steps` steps, or why there are none."""
    if row["text"] is None:
        return InvalidReply(row["error"] or "no response")
    numbers = range(1, num_steps + 1) if row["step"] == ALL_STEPS else [row["step"] + 1]
    return read_reply(row["text"], row["finish_reason"] or "", numbers)


class KeptVotes:
    """The votes of REPLY rows on STEP rows; the last attempt counts."""

    def __init__(self, replies: pl.DataFrame, steps: pl.DataFrame) -> None:
        self.num_steps: dict[str, int] = dict(steps.group_by("sample_id").len().sort("sample_id").iter_rows())
        self._read: defaultdict[str, dict[tuple[int, int, int], list[StepVote] | InvalidReply]] = defaultdict(dict)
        for row in replies.sort("attempt").iter_rows(named=True):
            sample_id, key = row["sample_id"], (row["judge_index"], row["step"], row["vote"])
            self._read[sample_id][key] = read_kept_reply(row, self.num_steps[sample_id])

    def list_votes(self, sample_id: str, judge_index: int, step: int, num_votes: int) -> list[Vote]:
        """The votes of one judge on one step; a vote without a reply is missing."""
        return [self._find_vote(sample_id, judge_index, step, vote) for vote in range(num_votes)]

    def _find_vote(self, sample_id: str, judge_index: int, step: int, vote: int) -> Vote:
        read, position = self._read[sample_id].get((judge_index, step, vote)), 0
        if read is None:
            read, position = self._read[sample_id].get((judge_index, ALL_STEPS, vote), NO_REPLY), step
        return read if isinstance(read, InvalidReply) else read[position]


def recount_votes(
    replies: pl.DataFrame, steps: pl.DataFrame, num_votes: int, num_judges: int, min_agreement: float
) -> SampleLabels:
    """Labels of `steps` (STEP rows) from `replies` (REPLY rows); the reason is empty where a request was not sent."""
    kept = KeptVotes(replies, steps)

    def recount(sample_id: str, step: int) -> StepLabel:
        label = combine_labels([
            count_votes(kept.list_votes(sample_id, judge_index, step, num_votes), min_agreement)
            for judge_index in range(num_judges)
        ])  # fmt: skip
        return StepLabel(None, "", label.agreement) if NO_REPLY.error in label.reason else label

    return {
        sample_id: [recount(sample_id, step) for step in range(num_steps)]
        for sample_id, num_steps in kept.num_steps.items()
    }


def count_kept_votes(replies: pl.DataFrame, steps: pl.DataFrame, num_votes: int, num_judges: int) -> pl.DataFrame:
    """Votes on each of `steps` (STEP rows) by their `replies` (REPLY rows), with the columns `VOTE_COUNTS`.

    The counts sum to `num_votes` times `num_judges`: a request that was not sent is an invalid vote, too.
    """
    kept = KeptVotes(replies, steps)
    rows: list[tuple[Any, ...]] = []
    for sample_id, step in steps.select("sample_id", "step").iter_rows():
        votes = [vote for judge in range(num_judges) for vote in kept.list_votes(sample_id, judge, step, num_votes)]
        verdicts = [vote.is_correct for vote in votes if isinstance(vote, StepVote)]
        rows.append((sample_id, step, verdicts.count(True), verdicts.count(False), len(votes) - len(verdicts)))
    return pl.DataFrame(rows, schema=VOTE_COUNTS, orient="row")
