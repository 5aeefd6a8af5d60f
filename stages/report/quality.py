"""How good each round's labels are, how they drift, and when a model seems to farm rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum
from typing import Any

from stages.report.sources import Model, at, count, number
from stages.report.text import bounded

IDLE = 0.10
"""Share of right labels on short or repeated steps from which a round is warned of."""

RISE = 0.02
"""Rise of that share over the round before from which it is warned of."""

GROWTH = 1.25
"""Growth of steps per solution over the round before from which it is warned of."""

DRIFTS = (
    ("answers", "labels of answers"),
    ("steps", "labels of steps"),
    ("sizes", "steps per solution"),
    ("lengths", "length in characters"),
    ("sources", "sources"),
)
"""What drift is told of, and what the headings stand for."""

SHARES = (
    ("unknown_steps", "Unknown steps", "steps without a label"),
    ("unanimous_steps", "Unanimous", "labelled steps on which all votes agree"),
    (
        "correct_with_incorrect_step",
        "Right, wrong step",
        "right answers with a wrong step, among those with a judged step",
    ),
    ("incorrect_with_all_steps_correct", "Wrong, steps right", "wrong answers whose steps are all right, likewise"),
    ("idle_correct_steps", "Idle rewards", "right labels that go to short or repeated steps"),
    ("repeated_completions", "Repeated", "solutions whose text an earlier one of the problem has"),
    ("short_steps", "Short steps", "steps of at most three words or numbers that state no relation and no answer"),
    ("repeated_steps", "Repeated steps", "steps that say what an earlier step of the solution said"),
)
"""Shares in the dataset stage's report: key, heading, and what the heading stands for."""


@dataclass(frozen=True)
class Share:
    """A count of a count; `value` is null where nothing was counted."""

    numerator: int | None
    denominator: int | None

    @property
    def value(self) -> float | None:
        return self.numerator / self.denominator if self.denominator and self.numerator is not None else None


@dataclass(frozen=True)
class Contradictions:
    """Solutions of one source or length whose answer says what their steps do not."""

    name: str
    solutions: int | None
    correct_with_incorrect_step: Share
    incorrect_with_all_steps_correct: Share


@dataclass(frozen=True)
class Round:
    """One round's labels: `drift` is by `DRIFTS`, null where the round before has no labels."""

    name: str
    shares: list[Share]
    votes: str
    agreement: float | None
    steps_per_completion: float | None
    drift: list[float | None]
    contradictions: list[Contradictions]
    """By source, then by length."""


def label_quality(models: list[Model]) -> list[Round]:
    """The rounds whose labels were told of, in the order of the recipe."""
    by_name = {model.name: model for model in models}
    rounds = []
    for model in models:
        told = _quality(model)
        if told:
            before = by_name.get(model.policy)
            rounds.append(
                Round(
                    model.name,
                    [_share(told, key) for key, _, _ in SHARES],
                    ", ".join(bounded(votes, 12).shown for votes in _counts(told, "votes")),
                    number(told, "agreement"),
                    steps_per_completion(told),
                    [None if before is None else distance(of(model), of(before)) for of in _DISTRIBUTIONS],
                    [cell for name in ("by_source", "by_length") for cell in _contradictions(told, name)],
                )
            )
    return rounds


def warnings(models: list[Model]) -> list[str]:
    """What a person should look at: rewards for saying nothing, or for saying it in more steps."""
    by_name = {model.name: model for model in models}
    found = []
    for model in models:
        told = _quality(model)
        before = _quality(by_name[model.policy]) if model.policy else {}
        idle, idle_before = (_share(it, "idle_correct_steps").value for it in (told, before))
        if idle is not None and idle >= IDLE:
            found.append(f"{model.name}: {100 * idle:.1f}% of the right labels go to short or repeated steps.")
        if idle is not None and idle_before is not None and idle - idle_before >= RISE:
            found.append(
                f"{model.name}: right labels on short or repeated steps rose from {100 * idle_before:.1f}% in "
                f"{model.policy} to {100 * idle:.1f}%: look at what its policy learnt to say."
            )
        steps, steps_before = steps_per_completion(told), steps_per_completion(before)
        if steps is not None and steps_before and steps / steps_before >= GROWTH:
            found.append(
                f"{model.name}: solutions grew from {steps_before:.1f} steps in {model.policy} to {steps:.1f}: more "
                "steps are more rewards."
            )
    return found


def steps_per_completion(told: Any) -> float | None:
    """The mean, null where it is not known."""
    steps, solutions = count(told, "steps"), count(told, "completions")
    return steps / solutions if steps is not None and solutions else None


def distance(one: dict[str, int], other: dict[str, int]) -> float | None:
    """Total variation distance of two distributions: the share that would have to move; null where one is empty."""
    sums = sum(one.values()), sum(other.values())
    if min(sums) <= 0:
        return None
    return fsum(abs(one.get(key, 0) / sums[0] - other.get(key, 0) / sums[1]) for key in {*one, *other}) / 2


def _quality(model: Model) -> dict[str, Any]:
    told = at(model.reports, "dataset", "quality")
    return told if isinstance(told, dict) else {}


def _share(report: Any, key: str) -> Share:
    return Share(count(report, key, "count"), count(report, key, "total"))


def _counts(report: Any, *keys: str) -> dict[str, int]:
    """Whole numbers above 0 by name."""
    found = at(report, *keys)
    named = {str(key): count(found, key) for key in found} if isinstance(found, dict) else {}
    return {key: value for key, value in named.items() if value is not None and value > 0}


def _solutions(by: str) -> Callable[[Model], dict[str, int]]:
    """Solutions by source or by length."""

    def of(model: Model) -> dict[str, int]:
        names = at(_quality(model), by)
        found = {str(name): count(names, name, "completions") for name in names} if isinstance(names, dict) else {}
        return {name: value for name, value in found.items() if value is not None and value > 0}

    return of


def _labels(level: str) -> Callable[[Model], dict[str, int]]:
    """Labels of answers or steps before selection."""
    return lambda model: _counts(model.reports, "dataset", "labels", "before", level)


_DISTRIBUTIONS: tuple[Callable[[Model], dict[str, int]], ...] = (
    _labels("outcome"),
    _labels("step"),
    lambda model: _counts(_quality(model), "steps_per_completion"),
    _solutions("by_length"),
    _solutions("by_source"),
)
"""The distributions of `DRIFTS`."""


def _contradictions(told: dict[str, Any], by: str) -> list[Contradictions]:
    names = at(told, by)
    unit = " characters" if by == "by_length" else ""
    return [
        Contradictions(
            bounded(name, 60).shown + unit,
            count(names, name, "completions"),
            _share(names[name], "correct_with_incorrect_step"),
            _share(names[name], "incorrect_with_all_steps_correct"),
        )
        for name in (names if isinstance(names, dict) else {})
    ]
