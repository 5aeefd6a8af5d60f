"""Quality of each round's labels, their drift between rounds, and warnings of reward hacking."""

from dataclasses import dataclass
from math import fsum
from typing import Any

from stages.report.stage_reports import PolicyReports, get_count, get_dict

MAX_IDLE_FRACTION = 0.10
"""Fraction of correct labels on short or repeated steps that raises a warning."""

MAX_IDLE_RISE = 0.02
"""Rise of that fraction over the previous round that raises a warning."""

MAX_STEP_GROWTH = 1.25
"""Growth of steps per completion over the previous round that raises a warning."""

DRIFTS = ("labels of answers", "labels of steps", "steps per completion", "length in characters", "sources")
"""The distributions whose drift is shown."""

FRACTIONS = (
    ("unknown_steps", "Unknown steps", "steps without a label"),
    ("unanimous_steps", "Unanimous", "labelled steps on which all votes agree"),
    (
        "correct_with_incorrect_step",
        "Correct answer, incorrect step",
        "correct answers with an incorrect step, among those with a labelled step",
    ),
    (
        "incorrect_with_all_steps_correct",
        "Incorrect answer, correct steps",
        "incorrect answers with correct steps only, among those with a labelled step",
    ),
    ("idle_correct_steps", "Idle rewards", "correct labels on short or repeated steps"),
    ("repeated_completions", "Repeated", "completions with the same text as an earlier one for the problem"),
    ("short_steps", "Short steps", "steps of at most three words or numbers without a relation or an answer"),
    ("repeated_steps", "Repeated steps", "steps with the same text as an earlier step of the completion"),
)
"""Fractions in the dataset stage's report: key, heading, and what the heading stands for."""


@dataclass(frozen=True)
class CountedFraction:
    """A count among a total; `value` is None if nothing was counted."""

    numerator: int | None
    denominator: int | None

    @property
    def value(self) -> float | None:
        return self.numerator / self.denominator if self.denominator and self.numerator is not None else None


def list_drifts(policies: list[PolicyReports]) -> dict[str, list[float | None]]:
    """By round the drift of each of `DRIFTS` since the round that trained its policy, None where that has no labels."""
    by_name = {policy.name: policy for policy in policies}
    drifts = {}
    for policy in policies:
        previous = by_name.get(policy.start_policy)
        before = [{}] * len(DRIFTS) if previous is None else _list_distributions(previous)
        pairs = zip(_list_distributions(policy), before, strict=True)
        drifts[policy.name] = [measure_drift(*pair) for pair in pairs]
    return drifts


def list_warnings(policies: list[PolicyReports]) -> list[str]:
    """What a person should check: rewards for empty steps, or for more steps; steps joined for their number."""
    by_name = {policy.name: policy for policy in policies}
    warnings = []
    for policy in policies:
        name, start = policy.name, policy.start_policy
        pair = [_get_quality(policy), _get_quality(by_name[start]) if start else {}]
        idle, idle_before = (read_fraction(quality, "idle_correct_steps").value for quality in pair)
        if idle is not None and idle >= MAX_IDLE_FRACTION:
            warnings.append(f"{name}: {100 * idle:.1f}% of the correct labels are on short or repeated steps.")
        if idle is not None and idle_before is not None and idle - idle_before >= MAX_IDLE_RISE:
            warnings.append(
                f"{name}: correct labels on short or repeated steps rose from {100 * idle_before:.1f}% in {start} to "
                f"{100 * idle:.1f}%: check what its policy has learnt to write."
            )
        steps, steps_before = (compute_steps_per_completion(quality) for quality in pair)
        if steps is not None and steps_before and steps / steps_before >= MAX_STEP_GROWTH:
            warnings.append(
                f"{name}: completions grew from {steps_before:.1f} steps in {start} to {steps:.1f}: more steps earn "
                "more rewards."
            )
        split = get_dict(policy.reports, "split")
        if limited := get_count(split, "limited_by_max_steps"):
            warnings.append(
                f"{name}: {limited} of {get_count(split, 'samples')} completions had more than split.max_steps steps: "
                "neighbours share a label."
            )
        for reason in get_dict(split, "model", "divided_by_rules"):
            count = get_count(split, "model", "divided_by_rules", reason)
            warnings.append(f"{name}: {count} completions were divided by rules, not by the model: {reason}.")
    return warnings


def compute_steps_per_completion(quality: Any) -> float | None:
    """The mean, None if it is not known."""
    return CountedFraction(get_count(quality, "steps"), get_count(quality, "completions")).value


def measure_drift(one: dict[str, int], other: dict[str, int]) -> float | None:
    """Total variation distance of two distributions, 0 to 1; None if one is empty."""
    sums = sum(one.values()), sum(other.values())
    if min(sums) <= 0:
        return None
    return fsum(abs(one.get(key, 0) / sums[0] - other.get(key, 0) / sums[1]) for key in {*one, *other}) / 2


def _get_quality(policy: PolicyReports) -> dict[str, Any]:
    return get_dict(policy.reports, "dataset", "quality")


def read_fraction(report: Any, key: str) -> CountedFraction:
    """The fraction under `key` in a dataset stage's report."""
    return CountedFraction(get_count(report, key, "count"), get_count(report, key, "total"))


def read_counts(report: Any, *path: str, inner: tuple[str, ...] = ()) -> dict[str, int]:
    """Positive counts by name under `path`; each count is under the path `inner` of its name."""
    counts = {str(name): get_count(value, *inner) for name, value in get_dict(report, *path).items()}
    return {name: value for name, value in counts.items() if value is not None and value > 0}


def _list_distributions(policy: PolicyReports) -> list[dict[str, int]]:
    """The distributions of `DRIFTS`."""
    labels, quality = get_dict(policy.reports, "dataset", "labels", "before"), _get_quality(policy)
    return [
        read_counts(labels, "outcome"),
        read_counts(labels, "step"),
        read_counts(quality, "steps_per_completion"),
        read_counts(quality, "by_length", inner=("completions",)),
        read_counts(quality, "by_source", inner=("completions",)),
    ]
