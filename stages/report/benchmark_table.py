"""The table of benchmarks in the paper's format: policies by benchmark, the paper's results beside ours."""

from __future__ import annotations

from dataclasses import dataclass

from stages.common.text import bound_text
from stages.report.evaluation_metrics import (
    EvaluationMetric,
    ProblemSet,
    list_problem_sets,
    read_estimate,
    sort_metrics,
)
from stages.report.paper_results import NOTE, get_paper_result
from stages.report.stage_reports import PolicyReports, StageReports, get_dict, list_majority_ks


@dataclass(frozen=True)
class BenchmarkTable:
    """What the table has beside our estimates: columns and rows, the paper's results, and notes needed to read it."""

    columns: list[tuple[ProblemSet, EvaluationMetric]]
    policies: list[PolicyReports]
    paper: dict[tuple[str, str, str], float | None]
    """By policy, benchmark and metric; None where the paper has none."""
    notes: list[str]


def build_benchmark_table(results: StageReports) -> BenchmarkTable | None:
    """Pass@1 and Maj@k of every benchmark, and stepwise errors if steps were judged; None without a benchmark."""
    policies = results.policies
    keys = ["pass_at_1", f"maj_at_{list_majority_ks(policies)[0]}", "stepwise_error"]
    sets = [problems for problems in list_problem_sets(policies) if problems.name]
    columns = [(problems, metric) for problems in sets for metric in sort_metrics(keys) if _has_value(problems, metric)]
    if not columns:
        return None
    by_name = {policy.name: policy for policy in policies}
    measured = [policy for policy in policies if any(policy.name in problems.reports for problems in sets)]
    paper = {
        (policy.name, problems.name, metric.key): get_paper_result(
            results.recipe.report.paper, problems.name, metric.key, _list_ancestors(policy, by_name)
        )
        for policy in measured
        for problems, metric in columns
    }
    notes = [describe_judges(policies), NOTE if any(paper.values()) else ""]
    return BenchmarkTable(columns, measured, paper, [note for note in notes if note])


def describe_judges(policies: list[PolicyReports]) -> str:
    """Which judges labelled the evaluated steps, and whether they also label the training data."""
    judges = [get_dict(policy.reports, "evaluate", "judge") for policy in policies]
    names = {tuple(bound_text(it.get(key), 100).shown for key in ("name", "training_judge")) for it in judges}
    texts = [
        f"{name}, which also labels the training data" if name == training else f"{name}, not the training judge"
        for name, training in sorted(names)
        if name
    ]
    return f"Steps are judged by {'; '.join(texts)}." if texts else ""


def _has_value(problems: ProblemSet, metric: EvaluationMetric) -> bool:
    estimates = [read_estimate(problems.get_metrics(policy), metric.key) for policy in problems.reports]
    return any(estimate["value"] is not None for estimate in estimates)


def _list_ancestors(policy: PolicyReports, by_name: dict[str, PolicyReports]) -> list[PolicyReports]:
    """`policy` and all policies that it was trained from, M0 first."""
    chain = [policy]
    while chain[0].start_policy:
        chain.insert(0, by_name[chain[0].start_policy])
    return chain
