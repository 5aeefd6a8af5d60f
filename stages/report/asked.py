"""What asking language models cost, by round and stage: tokens, how many a prefix cache served, money."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.report.sources import Model, at, count, number
from stages.report.text import bounded

SHOWN = 60
"""Characters shown of a model's name."""


def asked_rows(models: list[Model]) -> list[dict[str, Any]]:
    """A row per round, stage and model asked: what all its answers cost, whichever run paid, and what the last paid."""
    rows = []
    for model in models:
        for stage, who, costs in _costs(model):
            every = at(costs, "total")
            failures = at(costs, "failures")
            row = {key: count(every, key) for key in ("completions", "prompt_tokens", "completion_tokens")}
            rows.append({
                "round": model.name,
                "stage": stage,
                "model": bounded(who, SHOWN).shown if who else None,
                "hit_rate": number(every, "cache_hit_rate"),
                "failed": sum(count(failures, kind) or 0 for kind in failures) if isinstance(failures, dict) else None,
                "money": number(every, "cost"),
                "paid": number(costs, "cost"),
                "currency": bounded(at(every, "currency"), 10).shown if at(every, "currency") else "",
                **row,
            })  # fmt: skip
    return rows


def asked_metrics(models: list[Model]) -> dict[str, dict[str, float | int]]:
    """``{round: {"judge_prompt_tokens": 9, "judge_completion_tokens": 5, "judge_cost": 0.1}}``, models together."""
    metrics: dict[str, dict[str, float | int]] = {}
    for model in models:
        sums = metrics.setdefault(model.name, {})
        for stage, _, costs in _costs(model):
            for key in ("prompt_tokens", "completion_tokens", "cost"):
                value = number(costs, "total", key)
                if value is not None:
                    sums[f"{stage}_{key}"] = round(sums.get(f"{stage}_{key}", 0) + value, 6)
    return metrics


def _costs(model: Model) -> Iterator[tuple[str, Any, Any]]:
    """Stage, name of the model asked and what it cost: of the policies that are sampled, and of each judge."""
    sampled = at(model.reports, "sample", "llm_usage")
    if isinstance(sampled, dict):
        yield "sample", model.policy, sampled
    for stage, key in (("judge", "llm_usage"), ("evaluate", "costs")):
        parts = at(model.reports, stage, key)
        for costs in parts.values() if isinstance(parts, dict) else ():
            yield stage, at(costs, "model") or model.name, costs
