"""LLM usage by round and stage: tokens and cost."""

from collections.abc import Iterator
from typing import Any

from stages.common.text import bound_text
from stages.report.stage_reports import PolicyReports, get_count, get_dict, get_number, get_value

MAX_NAME_CHARS = 60
"""Characters shown of a model's name."""


def list_usage(policies: list[PolicyReports]) -> list[dict[str, Any]]:
    """A row per round, stage and model: the usage behind all responses."""
    rows = []
    for policy in policies:
        for stage, model, usage in _iterate_usage(policy):
            failures = get_value(usage, "failures")
            counts = {key: get_count(usage, key) for key in ("completions", "prompt_tokens", "completion_tokens")}
            rows.append({
                "round": policy.name,
                "stage": stage,
                "model": bound_text(model, MAX_NAME_CHARS).shown if model else None,
                "failed": sum(get_count(failures, key) or 0 for key in failures)
                if isinstance(failures, dict)
                else None,
                "cost": get_number(usage, "cost"),
                "currency": bound_text(get_value(usage, "currency") or "", 10).shown,
                **counts,
            })  # fmt: skip
    return rows


def collect_usage_metrics(policies: list[PolicyReports]) -> dict[str, dict[str, float | int]]:
    """``{round: {"judge_prompt_tokens": 9, "judge_completion_tokens": 5, "judge_cost": 0.1}}``, summed over models."""
    metrics: dict[str, dict[str, float | int]] = {}
    for policy in policies:
        sums = metrics.setdefault(policy.name, {})
        for stage, _, usage in _iterate_usage(policy):
            for key in ("prompt_tokens", "completion_tokens", "cost"):
                value = get_number(usage, key)
                if value is not None:
                    sums[f"{stage}_{key}"] = round(sums.get(f"{stage}_{key}", 0) + value, 6)
    return metrics


def _iterate_usage(policy: PolicyReports) -> Iterator[tuple[str, Any, Any]]:
    """Stage, name of the model, and usage: of the policy that is sampled, of what divides, and of each judge."""
    sampled = get_value(policy.reports, "sample", "llm_usage")
    if isinstance(sampled, dict):
        yield "sample", policy.start_policy, sampled
    for stage in ("split", "judge", "evaluate"):
        for usage in get_dict(policy.reports, stage, "llm_usage").values():
            yield stage, get_value(usage, "model") or policy.name, usage
