"""The table of benchmarks in the paper's format: policies by benchmark, the paper's results beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.common.text import bound_text
from stages.report.evaluation_metrics import ProblemSet, list_problem_sets, read_estimate
from stages.report.paper_results import NOTE, get_paper_result
from stages.report.stage_reports import PolicyReports, StageReports, get_dict, list_majority_ks


@dataclass(frozen=True)
class BenchmarkColumn:
    """One metric of one benchmark, with the headings of both."""

    benchmark: str
    metric: str
    benchmark_title: str
    metric_title: str


@dataclass(frozen=True)
class BenchmarkCell:
    """Our estimate, the same corrected for the judge's errors (None values if it is not), and the paper's result."""

    estimate: dict[str, Any]
    bias_corrected: dict[str, Any]
    paper: float | None


@dataclass(frozen=True)
class BenchmarkRow:
    """A policy's cells, one per column."""

    policy: PolicyReports
    cells: list[BenchmarkCell]


@dataclass(frozen=True)
class BenchmarkTable:
    """The table, and notes needed to read it."""

    columns: list[BenchmarkColumn]
    rows: list[BenchmarkRow]
    notes: list[str]


def build_benchmark_table(results: StageReports) -> BenchmarkTable | None:
    """Pass@1 and Maj@k of every benchmark, and stepwise errors if steps were judged; None without a benchmark."""
    policies = results.policies
    sets = {it.name: it for it in list_problem_sets(policies) if it.name}
    columns = [column for it in sets.values() for column in _list_columns(it, list_majority_ks(policies)[0])]
    if not columns:
        return None
    by_name = {policy.name: policy for policy in policies}

    def build_cell(policy: PolicyReports, column: BenchmarkColumn) -> BenchmarkCell:
        metrics = sets[column.benchmark].get_metrics(policy.name)
        return BenchmarkCell(
            read_estimate(metrics, column.metric),
            read_estimate(metrics, f"{column.metric}_bias_corrected"),
            get_paper_result(
                results.recipe.report.paper, column.benchmark, column.metric, _list_ancestors(policy, by_name)
            ),
        )

    rows = [
        BenchmarkRow(policy, [build_cell(policy, column) for column in columns])
        for policy in policies
        if any(policy.name in it.reports for it in sets.values())
    ]
    has_paper = any(cell.paper is not None for row in rows for cell in row.cells)
    notes = [describe_judges(policies), NOTE if has_paper else ""]
    return BenchmarkTable(columns, rows, [note for note in notes if note])


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


def _list_columns(problem_set: ProblemSet, k: int) -> list[BenchmarkColumn]:
    """The paper's columns of one benchmark that were measured."""
    titles = {"pass_at_1": "Pass@1", f"maj_at_{k}": f"Maj@{k}", "stepwise_error": "stepwise error"}
    found = {
        key
        for key in titles
        for policy in problem_set.reports
        if read_estimate(problem_set.get_metrics(policy), key)["value"] is not None
    }
    return [
        BenchmarkColumn(problem_set.name, key, problem_set.title, title)
        for key, title in titles.items()
        if key in found
    ]


def _list_ancestors(policy: PolicyReports, by_name: dict[str, PolicyReports]) -> list[PolicyReports]:
    """`policy` and all policies that it was trained from, M0 first."""
    chain = [policy]
    while chain[0].start_policy:
        chain.insert(0, by_name[chain[0].start_policy])
    return chain
