"""From votes to a label: True or False where enough of them agree, unknown elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.judge.reply import StepVerdict, Unusable

Vote = StepVerdict | Unusable
"""A vote cast, or why it was not."""


@dataclass(frozen=True)
class StepLabel:
    """A step's label: None for unknown; `agreement` is the share, 0 to 1, of the votes asked that say `right`.

    `unknown` counts unknown labels by what made them so: a few words without detail, None for a label that is known.
    """

    right: bool | None
    reason: str
    agreement: float
    unknown: str | None = None


def count_votes(votes: Sequence[Vote], min_agreement: float) -> StepLabel:
    """The label that at least `min_agreement` of all `votes` asked for; a vote that failed agrees with nobody.

    The reason is the rationale of the first vote that says the same. Raises `ValueError` without votes.
    """
    if not votes:
        raise ValueError("no votes")
    cast = [vote for vote in votes if isinstance(vote, StepVerdict)]
    if not cast:
        first = votes[0]
        assert isinstance(first, Unusable)
        return StepLabel(None, f"no usable reply: {first.fault}", 0.0, first.kind)
    right = sum(vote.right for vote in cast)
    side = 2 * right > len(cast)
    most = right if side else len(cast) - right
    agreement = most / len(votes)
    if agreement < min_agreement or 2 * most == len(cast):
        counts = f"{right} right, {len(cast) - right} wrong of {len(votes)} votes"
        return StepLabel(None, counts, 0.0, "too few usable votes" if most == len(cast) else "votes disagree")
    return StepLabel(side, next(vote.rationale for vote in cast if vote.right is side), agreement)


def both_agree(first: StepLabel, second: StepLabel) -> StepLabel:
    """The label that two judges share, unknown where they do not."""
    if first.right is None or second.right is None:
        unknown = first if first.right is None else second
        return StepLabel(None, f"one judge: {unknown.reason}", 0.0, unknown.unknown)
    if first.right is not second.right:
        return StepLabel(None, f"judges disagree: {first.reason} / {second.reason}", 0.0, "judges disagree")
    return StepLabel(first.right, first.reason, min(first.agreement, second.agreement))
