"""What an evaluation measured: its sets of problems, and their metrics by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stages.report.sources import Model, at, count, number

_BY_K = {
    "avg": ("Pass@1 over {k}", "right samples among {k} per problem"),
    "maj": ("Maj@{k}", "right majority answer of {k} samples"),
    "pass": ("Pass@{k}", "chance that one of {k} samples is right"),
}
_NAMED = {
    "pass_at_1": ("Pass@1", "right greedy answers"),
    "stepwise_error": ("Stepwise error", "right answers with a wrong step, among those with a judged step"),
    "stepwise_flagged": ("Flagged", "right answers in which the judge calls a step wrong, among those with a step"),
    "stepwise_error_corrected": ("Stepwise error, corrected", "the flagged share, corrected for the judge's errors"),
    "wrong_all_steps_right": ("Wrong, steps right", "wrong answers whose steps are all right"),
    "unknown_steps": ("Unknown steps", "steps that the judge leaves open"),
    "unknown_outcome": ("Not decidable", "answers that the grader cannot tell"),
    "no_answer": ("No answer", "solutions without a final answer"),
    "length_cut": ("Cut", "solutions cut by the token limit"),
    "tokens_per_solution": ("Tokens", "tokens per solution"),
    "sampled_no_answer": ("No answer, sampled", "samples of the vote without a final answer"),
    "sampled_length_cut": ("Cut, sampled", "samples of the vote cut by the token limit"),
    "sampled_tokens_per_solution": ("Tokens, sampled", "tokens per sample of the vote"),
}

TITLES = {"math500": "MATH-500", "amc23": "AMC23", "aime24": "AIME24"}
"""Benchmarks as they are written, by their names in recipes; another is called by its name."""


@dataclass(frozen=True)
class Measure:
    """A metric: its name in reports, its heading, and what the heading stands for."""

    key: str
    title: str
    meaning: str

    @property
    def is_share(self) -> bool:
        return "tokens" not in self.key

    @staticmethod
    def known(keys: Iterable[str]) -> list[Measure]:
        """The metrics named by `keys` in a fixed order; names that no metric has are left out."""
        return sorted((it for key in keys if (it := _measure(key))), key=_place)


@dataclass(frozen=True)
class ProblemSet:
    """A set of problems that models were evaluated on: the split (name empty) or a benchmark, with what each gave."""

    name: str
    title: str
    reports: dict[str, dict[str, Any]]
    """By model; those that were not evaluated on it left out."""

    def metrics(self, model: str) -> Any:
        return at(self.reports.get(model), "metrics")

    @property
    def measures(self) -> list[Measure]:
        """What any of the models was measured by."""
        return Measure.known({key for report in self.reports.values() for key in _keys(at(report, "metrics"))})


def problem_sets(models: list[Model]) -> list[ProblemSet]:
    """The split first, then the benchmarks by the order of their first model; sets that nobody measured left out."""
    split: dict[str, dict[str, Any]] = {}
    benchmarks: dict[str, dict[str, dict[str, Any]]] = {}
    for model in models:
        report = model.reports.get("evaluate", {})
        if _keys(at(report, "metrics")):
            split[model.name] = report
        measured = at(report, "benchmarks")
        for name, part in measured.items() if isinstance(measured, dict) else ():
            if _keys(at(part, "metrics")):
                benchmarks.setdefault(str(name), {})[model.name] = part
    sets = [ProblemSet(name, TITLES.get(name, name), reports) for name, reports in benchmarks.items()]
    return ([ProblemSet("", "The recipe's problems", split)] if split else []) + sets


def estimate(metrics: Any, key: str) -> dict[str, Any]:
    """One metric's value, interval and counts; null where they are not known, as the counts of a corrected share."""
    counted = not key.endswith("_corrected")
    return {
        **{part: number(metrics, key, part) for part in ("value", "low", "high")},
        **{part: count(metrics, key, part) if counted else None for part in ("numerator", "denominator")},
    }


def _keys(metrics: Any) -> list[str]:
    return list(metrics) if isinstance(metrics, dict) else []


def _measure(key: str) -> Measure | None:
    if key in _NAMED:
        return Measure(key, *_NAMED[key])
    found = re.fullmatch(r"(avg|maj|pass)_at_(\d{1,6})", key)
    if not found:
        return None
    title, meaning = _BY_K[found[1]]
    return Measure(key, title.format(k=found[2]), meaning.format(k=found[2]))


def _place(measure: Measure) -> tuple[int, int, int]:
    """Greedy Pass@1, then what needs several samples by kind and k, then the others in the order of their names."""
    if measure.key in _NAMED:
        place = list(_NAMED).index(measure.key)
        return (0 if place == 0 else 2, place, 0)
    kind, _, k = measure.key.split("_")
    return (1, list(_BY_K).index(kind), int(k))
