"""Metrics of evaluations by name, and the sets of problems that they were measured on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stages.report.stage_reports import PolicyReports, get_count, get_dict, get_number

_METRICS_AT_K = {
    "avg": ("Pass@1 over {k}", "correct samples among {k} per problem"),
    "maj": ("Maj@{k}", "correct majority answer of {k} samples"),
    "pass": ("Pass@{k}", "probability that one of {k} samples is correct"),
}
_METRICS = {
    "pass_at_1": ("Pass@1", "correct greedy answers"),
    "stepwise_error": ("Stepwise error", "correct answers with an incorrect step, among those with a labelled step"),
    "stepwise_error_apparent": ("Stepwise error, apparent", "the same, among all correct answers that have a step"),
    "stepwise_error_bias_corrected": (
        "Stepwise error, bias-corrected",
        "the apparent rate, corrected for the judge's error rates",
    ),
    "incorrect_answer_correct_steps": (
        "Incorrect answer, correct steps",
        "incorrect answers with correct steps only, among those with a labelled step",
    ),
    "unknown_steps": ("Unknown steps", "steps without a label"),
    "unknown_outcome": ("Unknown outcome", "answers that the verifier can neither accept nor reject"),
    "no_answer": ("No answer", "completions without a final answer"),
    "truncated": ("Truncated", "completions truncated by the token limit"),
    "tokens_per_completion": ("Tokens", "tokens per completion"),
    "sampled_no_answer": ("No answer, sampled", "majority samples without a final answer"),
    "sampled_truncated": ("Truncated, sampled", "majority samples truncated by the token limit"),
    "sampled_tokens_per_completion": ("Tokens, sampled", "tokens per majority sample"),
}

BENCHMARK_TITLES = {"math500": "MATH-500", "amc23": "AMC23", "aime24": "AIME24"}
"""Official names of benchmarks by their names in recipes; any other is shown by its name in the recipe."""


@dataclass(frozen=True)
class EvaluationMetric:
    """A metric: its key in reports, its heading, and what the heading stands for."""

    key: str
    title: str
    meaning: str

    @property
    def is_fraction(self) -> bool:
        return "tokens" not in self.key


@dataclass(frozen=True)
class ProblemSet:
    """Problems that policies were evaluated on, the split (empty name) or a benchmark, with the report parts."""

    name: str
    title: str
    reports: dict[str, dict[str, Any]]
    """By policy; those that were not evaluated on it are left out."""

    def get_metrics(self, policy: str) -> dict[str, Any]:
        return get_dict(self.reports, policy, "metrics")

    @property
    def metrics(self) -> list[EvaluationMetric]:
        """The metrics of any of the policies."""
        return sort_metrics({key for policy in self.reports for key in self.get_metrics(policy)})


def list_problem_sets(policies: list[PolicyReports]) -> list[ProblemSet]:
    """The split first, then the benchmarks in the order of their first policy; sets without metrics left out."""
    split = ProblemSet("", "The recipe's problems", {})
    benchmarks: dict[str, ProblemSet] = {}
    for policy in policies:
        report = get_dict(policy.reports, "evaluate")
        if get_dict(report, "metrics"):
            split.reports[policy.name] = report
        for name, part in get_dict(report, "benchmarks").items():
            if get_dict(part, "metrics"):
                title = BENCHMARK_TITLES.get(name, name)
                benchmarks.setdefault(name, ProblemSet(name, title, {})).reports[policy.name] = part
    return [it for it in (split, *benchmarks.values()) if it.reports]


def read_estimate(metrics: Any, key: str) -> dict[str, Any]:
    """One metric's value, interval and counts; None where unknown, as for the counts of a bias-corrected rate."""
    has_counts = not key.endswith("_corrected")
    return {
        **{name: get_number(metrics, key, name) for name in ("value", "low", "high")},
        **{name: get_count(metrics, key, name) if has_counts else None for name in ("numerator", "denominator")},
    }


def sort_metrics(keys: Iterable[str]) -> list[EvaluationMetric]:
    """The metrics called `keys`, unknown keys left out.

    Greedy Pass@1 comes first, then metrics of several samples by kind and k, then the others in a fixed order.
    """
    found: dict[tuple[int, int, int], EvaluationMetric] = {}
    for key in keys:
        at_k = re.fullmatch(r"(avg|maj|pass)_at_(\d{1,6})", key)
        if key in _METRICS:
            place = list(_METRICS).index(key)
            found[0 if place == 0 else 2, place, 0] = EvaluationMetric(key, *_METRICS[key])
        elif at_k:
            title, meaning = _METRICS_AT_K[at_k[1]]
            metric = EvaluationMetric(key, title.format(k=at_k[2]), meaning.format(k=at_k[2]))
            found[1, list(_METRICS_AT_K).index(at_k[1]), int(at_k[2])] = metric
    return [found[place] for place in sorted(found)]
