"""Votes read again from the replies that were kept."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from stages.common.params.judge import LlmJudgeParams
from stages.judge.llm.replies import NO_REPLY, InvalidReply, StepVote, read_reply
from stages.judge.llm.reply_form import ReplyForm
from stages.judge.llm.votes import ALL_STEPS, CollectedVotes, label_samples
from stages.judge.step_labels import SampleLabels, StepLabel

VOTE_COUNTS = {
    "sample_id": pl.String,
    "step": pl.Int32,
    "votes_correct": pl.Int32,
    "votes_incorrect": pl.Int32,
    "votes_invalid": pl.Int32,
}
"""Columns of `count_kept_votes`."""


def read_kept_reply(
    row: dict[str, Any], num_steps: int, llms: Sequence[LlmJudgeParams]
) -> list[StepVote] | InvalidReply:
    """The votes of a REPLY row of one of `llms` on a completion of `num_steps` steps, or why there are none."""
    if row["text"] is None:
        return InvalidReply(row["error"] or "no response")
    numbers = range(1, num_steps + 1) if row["step"] == ALL_STEPS else [row["step"] + 1]
    form = ReplyForm.find(llms[row["judge_index"]])
    return read_reply(row["text"], row["finish_reason"] or "", numbers, form, row["reasoning"])


def _read_votes(
    replies: pl.DataFrame, steps: pl.DataFrame, num_votes: int, llms: Sequence[LlmJudgeParams]
) -> list[CollectedVotes]:
    """The votes of each of `llms` on `steps` (STEP rows) by its `replies` (REPLY rows); the last attempt counts."""
    num_steps: dict[str, int] = dict(steps.group_by("sample_id").len().sort("sample_id").iter_rows())
    collected = [CollectedVotes.prepare(num_steps, num_votes) for _ in llms]
    for row in replies.sort("attempt").iter_rows(named=True):
        read = read_kept_reply(row, num_steps[row["sample_id"]], llms)
        collected[row["judge_index"]].add(row["sample_id"], row["step"], row["vote"], read)
    return collected


def recount_votes(
    replies: pl.DataFrame, steps: pl.DataFrame, num_votes: int, llms: Sequence[LlmJudgeParams], min_agreement: float
) -> SampleLabels:
    """Labels of `steps` (STEP rows) from `replies` (REPLY rows); the reason is empty where a request was not sent."""
    labels = label_samples(_read_votes(replies, steps, num_votes, llms), min_agreement)
    return {
        sample_id: [
            StepLabel(None, "", label.agreement) if NO_REPLY.error in label.reason else label for label in of_sample
        ]
        for sample_id, of_sample in labels.items()
    }


def count_kept_votes(
    replies: pl.DataFrame, steps: pl.DataFrame, num_votes: int, llms: Sequence[LlmJudgeParams]
) -> pl.DataFrame:
    """Votes on each of `steps` (STEP rows) by their `replies` (REPLY rows), with the columns `VOTE_COUNTS`.

    The counts sum to `num_votes` for each of `llms`: a request that was not sent is an invalid vote, too, as is one
    that gives no opinion of a step.
    """
    collected = _read_votes(replies, steps, num_votes, llms)
    rows: list[tuple[Any, ...]] = []
    for sample_id, step in steps.select("sample_id", "step").iter_rows():
        votes = [vote for of_judge in collected for vote in of_judge.votes[sample_id][step]]
        opinions = [vote.is_correct for vote in votes if isinstance(vote, StepVote) and vote.is_correct is not None]
        rows.append((sample_id, step, opinions.count(True), opinions.count(False), len(votes) - len(opinions)))
    return pl.DataFrame(rows, schema=VOTE_COUNTS, orient="row")
