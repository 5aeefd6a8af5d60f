"""Votes: which a language model gives, where each belongs, and the label that enough of them agree on."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Self

from stages.common.params.judge import VotingMode
from stages.judge.llm.replies import NO_REPLY, InvalidReply, StepVote, Vote
from stages.judge.step_labels import CompletionSteps, SampleLabels, StepLabel

ALL_STEPS = -1
"""In place of a step's number where one request is about all steps of a completion."""

DISAGREEMENT_PATTERN = r"^judges disagree|^one judge: \d+ correct|^\d+ correct, \d+ incorrect of "
"""Matches the reason of a label that is unknown because judges, or their votes, disagree."""


@dataclass(frozen=True)
class VoteRequest:
    """One vote: on all steps of a completion, or on the one at `step` (0-based)."""

    completion: CompletionSteps
    step: int
    vote: int

    @property
    def numbers(self) -> list[int]:
        """The steps to vote on, counted from 1 as in the prompt."""
        return list(range(1, len(self.completion.steps) + 1)) if self.step == ALL_STEPS else [self.step + 1]

    @property
    def shown_steps(self) -> tuple[str, ...]:
        """The steps in the prompt: all, or those up to the one to vote on."""
        return self.completion.steps if self.step == ALL_STEPS else self.completion.steps[: self.step + 1]


def list_vote_requests(
    completions: Sequence[CompletionSteps], mode: VotingMode, num_votes: int
) -> Iterator[VoteRequest]:
    """All votes, sorted so that neighbours share the beginning of their prompts: by problem, sample and step.

    A completion without steps gets none.
    """
    for completion in sorted(completions, key=lambda each: (each.problem_id, each.sample_id)):
        for step in range(len(completion.steps)) if mode == "step" else [ALL_STEPS][: len(completion.steps)]:
            for vote in range(num_votes):
                yield VoteRequest(completion, step, vote)


@dataclass(frozen=True)
class CollectedVotes:
    """Votes of one language model, and where they come from."""

    votes: dict[str, list[list[Vote]]]
    """Shape ``[steps][votes]`` by sample_id; a vote has its place whichever attempt gave it."""
    replies: list[dict[str, Any]] = field(default_factory=list)
    """REPLY rows of all attempts."""
    invalid_replies: Counter[str] = field(default_factory=Counter)
    """Invalid replies by what is wrong with them."""

    @classmethod
    def prepare(cls, num_steps: Mapping[str, int], num_votes: int) -> Self:
        """Room for `num_votes` votes on each step of samples with these numbers of steps; none is given yet."""
        return cls({sample_id: [[NO_REPLY] * num_votes for _ in range(num)] for sample_id, num in num_steps.items()})

    def add(self, sample_id: str, step: int, vote: int, read: list[StepVote] | InvalidReply) -> None:
        """Add what a reply on `step`, or on `ALL_STEPS`, gave; an invalid one is a missing vote on each of them."""
        of_sample = self.votes[sample_id]
        of_steps = of_sample if step == ALL_STEPS else [of_sample[step]]
        given: Sequence[Vote] = [read] * len(of_steps) if isinstance(read, InvalidReply) else read
        for votes, opinion in zip(of_steps, given, strict=True):
            votes[vote] = opinion


def label_samples(collected: Sequence[CollectedVotes], min_agreement: float) -> SampleLabels:
    """The labels that the votes of each judge, and then all judges, agree on."""
    return {
        sample_id: [
            combine_labels([count_votes(votes, min_agreement) for votes in of_step])
            for of_step in zip(*(of_judge.votes[sample_id] for of_judge in collected), strict=True)
        ]
        for sample_id in collected[0].votes
    }


def count_votes(votes: Sequence[Vote], min_agreement: float) -> StepLabel:
    """The label of at least `min_agreement` of all `votes`; one that is missing or open counts as disagreement.

    The reason is the rationale of the first vote for the label. Raises `ValueError` without votes.
    """
    if not votes:
        raise ValueError("no votes")
    valid = [vote for vote in votes if isinstance(vote, StepVote) and vote.is_correct is not None]
    if not valid:
        first = next((vote for vote in votes if isinstance(vote, StepVote)), votes[0])
        if isinstance(first, StepVote):
            return StepLabel(None, first.rationale, 0.0, "after the first error")
        return StepLabel(None, f"no valid reply: {first.error}", 0.0, first.kind)
    num_correct = sum(vote.is_correct is True for vote in valid)
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
