"""Whether one model is better than another: both on the same problems, with an interval of the difference."""

from __future__ import annotations

from dataclasses import dataclass

from stages.common.statistics import Comparison, Resampling, compare_reports
from stages.common.tables import seed_from
from stages.report.measures import Measure, problem_sets
from stages.report.sources import Model, arms

RESAMPLING = Resampling(2000, seed_from("compare"))
"""Of the report's own: how a difference is drawn must not depend on how each model was measured."""


@dataclass(frozen=True)
class Contest:
    """`model` held against `other` on one set of problems: how each metric changed."""

    problems: str
    model: Model
    other: Model
    changes: dict[str, Comparison]


def contests(models: list[Model]) -> list[Contest]:
    """Every round against the one that it started from, and every other arm's round against the first arm's.

    Pairs that were not evaluated on the same problems are left out.
    """
    found = []
    for it in problem_sets(models):
        for other, model in _pairs(models):
            before, after = it.reports.get(other.name), it.reports.get(model.name)
            if changes := compare_reports(before, after, RESAMPLING):
                found.append(Contest(it.title, model, other, changes))
    return found


def changes_over_policy(models: list[Model]) -> dict[str, dict[str, Comparison]]:
    """How each model differs from the one that it started from on the recipe's problems, by model and metric."""
    by_name = {model.name: model for model in models}
    return {
        model.name: compare_reports(
            by_name[model.policy].reports.get("evaluate"), model.reports.get("evaluate"), RESAMPLING
        )
        for model in models
        if model.policy
    }


def measures_compared(found: list[Contest]) -> list[Measure]:
    """The metrics of all comparisons, in the order of the page."""
    return Measure.known({key for contest in found for key in contest.changes})


def _pairs(models: list[Model]) -> list[tuple[Model, Model]]:
    by_name = {model.name: model for model in models}
    pairs = [(by_name[model.policy], model) for model in models if model.policy]
    first, *others = arms(models)
    of_depth = {model.depth: model for model in first}
    for chain in others:
        pairs += [(of_depth[model.depth], model) for model in chain[1:] if model.depth in of_depth]
    return pairs
