"""The judges of the evaluations against people who looked at the same steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.report.measures import estimate
from stages.report.sources import Model, at, count, number
from stages.report.text import bounded


@dataclass(frozen=True)
class Rate:
    """A share of solutions; null where nobody looked at one."""

    value: float | None
    denominator: int | None


@dataclass(frozen=True)
class Agreement:
    """What people's verdicts say of the judge of one model's evaluation; `note` alone where they are on other steps."""

    model: str
    verdicts: int | None
    steps: int | None
    agreement: dict[str, Any]
    kappa: dict[str, float | None]
    sensitivity: Rate
    specificity: Rate
    note: str


def agreements(models: list[Model]) -> list[Agreement]:
    """The models whose evaluation was told what people say."""
    found = []
    for model in models:
        told = at(model.reports, "evaluate", "judge", "people")
        if isinstance(told, dict):
            found.append(
                Agreement(
                    model.name,
                    count(told, "concerned"),
                    count(told, "steps"),
                    estimate(told, "agreement"),
                    {part: number(told, "kappa", part) for part in ("value", "low", "high")},
                    _rate(told, "sensitivity"),
                    _rate(told, "specificity"),
                    bounded(told.get("note"), 200).shown if "note" in told else "",
                )
            )
    return found


def _rate(told: dict[str, Any], name: str) -> Rate:
    return Rate(number(told, "rates", name, "value"), count(told, "rates", name, "denominator"))
