"""The table of benchmarks in the paper's format, with the paper's own results (arXiv 2501.10799) beside ours."""

from dataclasses import dataclass

from stages.common.text import bound_text
from stages.report.evaluation_metrics import (
    EvaluationMetric,
    ProblemSet,
    list_problem_sets,
    read_estimate,
    sort_metrics,
)
from stages.report.stage_reports import PolicyReports, StageReports, get_dict, list_majority_ks

NOTE = (
    "The paper's stepwise errors are those of its table; its Pass@1 are taken from summaries of its text. "
    "They are not corrected for the error rates of its judge."
)

_SMALL, _LARGE = "llama-3.1-8b", "llama-3.3-70b"
_RESULTS = {
    (_SMALL, "math500", "pass_at_1", "step_kto"): {0: 0.534, 1: 0.594, 3: 0.632},
    (_SMALL, "amc23", "pass_at_1", "step_kto"): {0: 0.350, 3: 0.475},
    (_SMALL, "math500", "stepwise_error", "step_kto"): {0: 0.273, 1: 0.229, 2: 0.208, 3: 0.199},
    (_SMALL, "math500", "stepwise_error", "kto"): {0: 0.273, 1: 0.246, 2: 0.226, 3: 0.211},
    (_LARGE, "math500", "pass_at_1", "step_kto"): {0: 0.758, 3: 0.796},
}
"""By model, benchmark, metric and method: fractions by round; round 0 is M0, the same for every method.

AMC23 results of a 70B model, 40.0 to 70.0, are left out: which model they belong to is not clear.
"""


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
    evaluated = [policy for policy in policies if any(policy.name in problems.reports for problems in sets)]
    paper = {
        (policy.name, problems.name, metric.key): get_paper_result(
            results.recipe.report.paper, problems.name, metric.key, _list_ancestors(policy, by_name)
        )
        for policy in evaluated
        for problems, metric in columns
    }
    notes = [describe_judges(policies), NOTE if any(paper.values()) else ""]
    return BenchmarkTable(columns, evaluated, paper, [note for note in notes if note])


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


def get_paper_result(model: str | None, benchmark: str, metric: str, chain: list[PolicyReports]) -> float | None:
    """The paper's result for the last policy of `chain`, None if it has none or does not have this policy.

    `chain` is how the policy was trained, M0 first: the paper has no policy trained by several methods.
    """
    methods = {policy.method for policy in chain if policy.depth} or {"step_kto"}
    if model is None or len(methods) > 1:
        return None
    return _RESULTS.get((model, benchmark, metric, methods.pop()), {}).get(chain[-1].depth)
