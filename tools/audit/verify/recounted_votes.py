"""A served judge's labels counted again from its raw replies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common.params.judge import JudgeParams
from stages.common.tables import content_hash
from stages.judge import StepLabel
from stages.judge.llm.replies import InvalidReply, StepVote, read_reply
from stages.judge.llm.votes import combine_labels, count_votes
from tools.audit.key_ranges import WHOLE

COUNTED = {
    "problem_id": pl.String,
    "sample_id": pl.String,
    "step": pl.Int32,
    "label": pl.Boolean,
    "reason": pl.String,
    "num_votes": pl.Int32,
    "agreement": pl.Float64,
    "first_error": pl.Int32,
}
"""Columns of a LABEL row that follow from the replies; `reason` is null where a judge was not asked."""

TALLY = {
    "sample_id": pl.String,
    "step": pl.Int32,
    "votes_right": pl.Int32,
    "votes_wrong": pl.Int32,
    "votes_unusable": pl.Int32,
}
"""Columns of a tally of votes."""

NOT_ASKED = InvalidReply("not asked")

Read = list[StepVote] | InvalidReply


@dataclass(frozen=True)
class Replies:
    """The last try of every vote of one sample, read again; keys are (judge, step or WHOLE, vote)."""

    read: dict[tuple[int, int, int], Read]

    def votes(self, judge: int, step: int, count: int) -> list[StepVote | InvalidReply]:
        """The `count` votes of `judge` on `step`."""
        return [self._vote(judge, step, vote) for vote in range(count)]

    def _vote(self, judge: int, step: int, vote: int) -> StepVote | InvalidReply:
        if (judge, step, vote) in self.read:
            read, place = self.read[judge, step, vote], 0
        else:
            read, place = self.read.get((judge, WHOLE, vote), NOT_ASKED), step
        return read if isinstance(read, InvalidReply) else read[place]


def read_again(row: dict[str, Any], steps: int) -> Read:
    """The verdicts in a REPLY `row` on a sample of `steps` steps, or why there are none."""
    if row["text"] is None:
        return InvalidReply(row["error"] or "no answer came")
    numbers = range(1, steps + 1) if row["step"] == WHOLE else range(row["step"] + 1, row["step"] + 2)
    return read_reply(row["text"], row["finish_reason"] or "", numbers)


def count_again(
    replies: pl.DataFrame, steps: pl.DataFrame, params: JudgeParams, judges: int, seed: int
) -> pl.DataFrame:
    """Rows with the columns `COUNTED` for `steps` (STEP rows), from `replies` (REPLY rows) of `judges` models.

    A vote that was never asked for, as for a solution that is too long, agrees with nobody.
    """
    counts = dict(steps.group_by("sample_id").len().iter_rows())
    said = _by_sample(replies, counts)
    rows: list[tuple[Any, ...]] = []
    ordered = steps.sort("problem_id", "sample_id").unique(["problem_id", "sample_id"], maintain_order=True)
    for problem, sample in ordered.select("problem_id", "sample_id").iter_rows():
        labels = [
            _flip(label, params.label_noise, seed, sample, step)
            for step, label in enumerate(_labels(said[sample], counts[sample], params, judges))
        ]
        first_error = next((step for step, label in enumerate(labels) if label.is_correct is False), None)
        for step, label in enumerate(labels):
            reason = None if NOT_ASKED.error in label.reason else label.reason
            rows.append(
                (problem, sample, step, label.is_correct, reason, params.num_votes, label.agreement, first_error)
            )
    return pl.DataFrame(rows, schema=COUNTED, orient="row")


def tally_votes(replies: pl.DataFrame, steps: pl.DataFrame, votes: int, judges: int) -> pl.DataFrame:
    """How the `votes` of each of `judges` models fell on each of `steps` (STEP rows), by their `replies` (REPLY rows).

    Columns ``sample_id, step, votes_right, votes_wrong, votes_unusable``, which add up to votes times judges: a vote
    that was never asked for is unusable too.
    """
    counts = dict(steps.group_by("sample_id").len().iter_rows())
    said = _by_sample(replies, counts)
    rows: list[tuple[Any, ...]] = []
    for sample, step in steps.select("sample_id", "step").iter_rows():
        cast = [vote for judge in range(judges) for vote in said[sample].votes(judge, step, votes)]
        right = [vote.is_correct for vote in cast if isinstance(vote, StepVote)]
        rows.append((sample, step, right.count(True), right.count(False), len(cast) - len(right)))
    return pl.DataFrame(rows, schema=TALLY, orient="row")


def _by_sample(replies: pl.DataFrame, counts: dict[str, int]) -> defaultdict[str, Replies]:
    said: defaultdict[str, Replies] = defaultdict(lambda: Replies({}))
    for row in replies.sort("attempt").iter_rows(named=True):  # a later try replaces an earlier one
        said[row["sample_id"]].read[row["judge_index"], row["step"], row["vote"]] = read_again(
            row, counts[row["sample_id"]]
        )
    return said


def _labels(replies: Replies, steps: int, params: JudgeParams, judges: int) -> Iterator[StepLabel]:
    for step in range(steps):
        first, *others = (
            count_votes(replies.votes(judge, step, params.num_votes), params.min_agreement) for judge in range(judges)
        )
        for second in others:
            first = combine_labels([first, second])
        yield first


def _flip(label: StepLabel, share: float, seed: int, sample: str, step: int) -> StepLabel:
    """The label turned round where the judge stage turns it round, for studies of label noise."""
    chosen = int(content_hash("flip", seed, sample, step, digits=12), 16) < share * 16**12
    if label.is_correct is None or not chosen:
        return label
    return StepLabel(not label.is_correct, f"flipped on purpose: {label.reason}", label.agreement)
