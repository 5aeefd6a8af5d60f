"""Pairs of policies compared on the same problems, with an interval of the difference."""

from dataclasses import dataclass

from stages.common.statistics import Bootstrap, Comparison, compare_evaluations
from stages.common.tables import seed_from
from stages.report.evaluation_metrics import list_problem_sets
from stages.report.stage_reports import PolicyReports, list_variants

BOOTSTRAP = Bootstrap(2000, seed_from("compare"))
"""The report's own, so that a difference does not depend on how each policy was evaluated."""


@dataclass(frozen=True)
class PolicyComparison:
    """`policy` compared with `other` on one set of problems: how each metric changed."""

    problems: str
    policy: PolicyReports
    other: PolicyReports
    changes: dict[str, Comparison]


def compare_policies(policies: list[PolicyReports]) -> list[PolicyComparison]:
    """Every policy compared with the one that it starts from, and every other variant with the first one.

    Pairs that were not evaluated on the same problems are left out.
    """
    comparisons = []
    for problem_set in list_problem_sets(policies):
        for other, policy in _list_pairs(policies):
            before, after = problem_set.reports.get(other.name), problem_set.reports.get(policy.name)
            if changes := compare_evaluations(before, after, BOOTSTRAP):
                comparisons.append(PolicyComparison(problem_set.title, policy, other, changes))
    return comparisons


def compare_with_start(policies: list[PolicyReports]) -> dict[str, dict[str, Comparison]]:
    """By policy and metric, the change from the policy that it starts from, on the recipe's problems."""
    evaluations = {policy.name: policy.reports.get("evaluate") for policy in policies}
    return {
        policy.name: compare_evaluations(evaluations[policy.start_policy], evaluations[policy.name], BOOTSTRAP)
        for policy in policies
        if policy.start_policy
    }


def _list_pairs(policies: list[PolicyReports]) -> list[tuple[PolicyReports, PolicyReports]]:
    by_name = {policy.name: policy for policy in policies}
    pairs = [(by_name[policy.start_policy], policy) for policy in policies if policy.start_policy]
    first, *others = list_variants(policies)
    at_depth = {policy.depth: policy for policy in first}
    for chain in others:
        pairs += [(at_depth[policy.depth], policy) for policy in chain[1:] if policy.depth in at_depth]
    return pairs
