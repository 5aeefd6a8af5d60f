"""Which votes a language model gives, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from stages.judge.step_labels import CompletionSteps

ALL_STEPS = -1
"""In place of a step's number where one request is about all steps of a completion."""


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
    completions: Sequence[CompletionSteps], mode: Literal["completion", "step"], num_votes: int
) -> Iterator[VoteRequest]:
    """All votes, sorted so that neighbours share the beginning of their prompts: by problem, sample and step.

    A completion without steps gets none.
    """
    for completion in sorted(completions, key=lambda each: (each.problem_id, each.sample_id)):
        for step in range(len(completion.steps)) if mode == "step" else [ALL_STEPS][: len(completion.steps)]:
            for vote in range(num_votes):
                yield VoteRequest(completion, step, vote)
