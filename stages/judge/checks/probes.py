"""Altered completions that tell a judge which reads the steps from one that does not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stages.common.tables import content_hash
from stages.judge.step_labels import CompletionSteps

KnownLabels = Sequence[bool | None]
"""Labels of a completion's steps, None where unknown."""


@dataclass(frozen=True)
class RotatedCompletion:
    """A completion whose steps start at another one and go round; labels of both that should differ are telling."""

    completion: CompletionSteps
    labels: KnownLabels
    """Those of the completion as it was, by position."""
    shift: int

    def list_telling_labels(self, labels: KnownLabels) -> list[bool]:
        """For each position where the two would differ: whether the new label is that of the position, not of the step.

        `labels` are those of the rotated completion.
        """
        num = len(labels)
        return [
            label is self.labels[position]
            for position, label in enumerate(labels)
            if label is not None and _differ(self.labels[position], self.labels[(position + self.shift) % num])
        ]


def rotate_steps(completion: CompletionSteps, labels: KnownLabels) -> RotatedCompletion | None:
    """`completion` with its steps rotated so that as many labels as possible should move; None where none would.

    A step keeps its neighbours, all but one. The label of each position is followed by as many correct ones that an
    incorrect step left as incorrect ones that a correct step left, so that a judge which finds fault with all that is
    out of order keeps half of them.
    """
    num = len(labels)
    gains = [sum(_differ(labels[at], labels[(at + shift) % num]) for at in range(num)) for shift in range(num)]
    shift = max(range(num), key=gains.__getitem__, default=0)
    if not shift or not gains[shift]:
        return None
    sample_id = content_hash("rotated", completion.sample_id, shift)
    steps = completion.steps[shift:] + completion.steps[:shift]
    return RotatedCompletion(replace(completion, sample_id=sample_id, steps=steps), labels, shift)


def mismatch_problems(completions: Sequence[CompletionSteps]) -> list[CompletionSteps]:
    """Each of `completions` with problem and reference solution of the next one that has another problem.

    Empty where all have the same problem.
    """
    altered = []
    for at, each in enumerate(completions):
        following = [*completions[at + 1 :], *completions[:at]]
        other = next((other for other in following if other.problem_id != each.problem_id), None)
        if other is not None:
            sample_id = content_hash("mismatched", each.sample_id, other.problem_id)
            altered.append(replace(other, sample_id=sample_id, steps=each.steps))
    return altered


def _differ(first: bool | None, second: bool | None) -> bool:
    return first is not None and second is not None and first is not second
