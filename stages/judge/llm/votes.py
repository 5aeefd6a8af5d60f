"""From votes to a label: correct or incorrect where enough of them agree, otherwise unknown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from stages.judge.llm.replies import InvalidReply, StepVote, Vote
from stages.judge.step_labels import StepLabel

DISAGREEMENT_PATTERN = r"^judges disagree|^one judge: \d+ correct|^\d+ correct, \d+ incorrect of "
"""Matches the reason of a label that is unknown because judges, or their votes, disagree."""


def count_votes(votes: Sequence[Vote], min_agreement: float) -> StepLabel:
    """The label of at least `min_agreement` of all `votes`; a missing vote counts as disagreement.

    The reason is the rationale of the first vote for the label. Raises `ValueError` without votes.
    """
    if not votes:
        raise ValueError("no votes")
    valid = [vote for vote in votes if isinstance(vote, StepVote)]
    if not valid:
        first = votes[0]
        assert isinstance(first, InvalidReply)
        return StepLabel(None, f"no valid reply: {first.error}", 0.0, first.kind)
    num_correct = sum(vote.is_correct for vote in valid)
    is_correct = 2 * num_correct > len(valid)
    majority = num_correct if is_correct else len(valid) - num_correct
    agreement = majority / len(votes)
    if agreement < min_agreement or 2 * majority == len(valid):
        counts = f"{num_correct} correct, {len(valid) - num_correct} incorrect of {len(votes)} votes"
        return StepLabel(None, counts, 0.0, "too few valid votes" if majority == len(valid) else "votes disagree")
    return StepLabel(is_correct, next(vote.rationale for vote in valid if vote.is_correct is is_correct), agreement)


def combine_labels(labels: Sequence[StepLabel]) -> StepLabel:
    """The label that all judges give; unknown where they do not agree."""
    return reduce(_combine_two, labels)


def _combine_two(first: StepLabel, second: StepLabel) -> StepLabel:
    if first.is_correct is None or second.is_correct is None:
        unknown = first if first.is_correct is None else second
        return StepLabel(None, f"one judge: {unknown.reason}", 0.0, unknown.unknown_reason)
    if first.is_correct is not second.is_correct:
        return StepLabel(None, f"judges disagree: {first.reason} / {second.reason}", 0.0, "judges disagree")
    return StepLabel(first.is_correct, first.reason, min(first.agreement, second.agreement))
