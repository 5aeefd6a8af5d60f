"""One label per step from those of several people."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stages.common.human_labels import HumanLabel


@dataclass(frozen=True)
class ResolvedLabel:
    """The one label of a step that several people may have labelled."""

    is_correct: bool | None
    reason: str
    """What people said, without their names."""
    agreement: float
    """Fraction, 0 to 1, of the people's labels that say `is_correct`."""
    unknown_reason: str | None = None
    """Why it is unknown, in a few words; None where it is known."""


PEOPLE_DISAGREE = "people disagree"


def resolve_labels(labels: Iterable[HumanLabel]) -> dict[tuple[str, int], ResolvedLabel]:
    """One label per sample_id and step of `labels`, of which each counts (see `read_human_labels`).

    An adjudicated label wins. Without one, a step is known where all people say the same of it, in the sense of
    `HumanLabel.is_correct`; a majority settles nothing, since it is what adjudication is for. Answers to gold items say
    something of the annotator, not of the step, and are left out.
    """
    by_step: dict[tuple[str, int], list[HumanLabel]] = {}
    for label in labels:
        if label.kind != "gold":
            by_step.setdefault((label.sample_id, label.step), []).append(label)
    return {key: _resolve(of_step) for key, of_step in by_step.items()}


def _resolve(labels: list[HumanLabel]) -> ResolvedLabel:
    adjudicated = [label for label in labels if label.kind == "adjudicated"]
    people = [label for label in labels if label.kind != "adjudicated"] or adjudicated
    counts = Counter(label.label for label in people)
    reason = ", ".join(f"{label} by {counts[label]}" for label in sorted(counts))
    settled = adjudicated or people
    opinions = {label.is_correct for label in settled}
    if len(opinions) > 1:
        return ResolvedLabel(None, f"{PEOPLE_DISAGREE}: {reason}", 0.0, PEOPLE_DISAGREE)
    is_correct = opinions.pop()
    if adjudicated:
        reason = f"adjudicated {adjudicated[-1].label}: {reason}"
    if is_correct is None:
        return ResolvedLabel(None, reason, 0.0, f"people say {settled[-1].label.replace('_', ' ')}")
    return ResolvedLabel(is_correct, reason, sum(it.is_correct is is_correct for it in people) / len(people))
