"""The table of rounds: as CSV, as metrics for DVC, and for the terminal."""

from typing import Any

import polars as pl

from stages.common.statistics import Comparison
from stages.report.comparisons import compare_with_start
from stages.report.evaluation_metrics import list_problem_sets, read_estimate, sort_metrics
from stages.report.stage_reports import PolicyReports, get_dict, get_number, list_majority_ks

NUM_DECIMALS = 6
"""Decimals kept of a fraction; intervals from 2,000 bootstrap samples are accurate to three."""

Cell = str | float | int | None

_PLAIN_METRICS = ("unknown_steps", "unknown_outcome", "no_answer", "truncated", "tokens_per_completion")
"""Metrics whose value alone is in the table."""

_INTERVAL_ENDINGS = {"": "value", "_low": "low", "_high": "high"}
_CHANGE_ENDINGS = {"": "difference", "_low": "low", "_high": "high", "_p": "p_value"}


def build_headline_table(policies: list[PolicyReports]) -> list[dict[str, Cell]]:
    """A row per policy: fractions from 0 to 1, the bounds of their 95% intervals, and counts; None if not measured."""
    counted = [*list_headline_metrics(policies), "incorrect_answer_correct_steps"]
    rows: list[dict[str, Cell]] = []
    for policy in policies:
        metrics = get_dict(policy.reports, "evaluate", "metrics")
        row: dict[str, Cell] = {"round": policy.name, "policy": policy.start_policy, "method": policy.method}
        for key in counted:
            estimate = read_estimate(metrics, key)
            row |= _format_interval(key, estimate)
            row |= {f"{key}_{part}": estimate[part] for part in ("numerator", "denominator")}
        rows.append(row | {key: _round(get_number(metrics, key, "value")) for key in _PLAIN_METRICS})
    return rows


def build_rounds_table(policies: list[PolicyReports]) -> list[dict[str, Cell]]:
    """`build_headline_table` with a column for everything else that was measured.

    After the columns that every recipe has come those of several samples and of benchmarks, called
    ``<benchmark>_<metric>``, and the change from the policy that the round starts from, on the same problems.
    """
    rows, sets, changes = build_headline_table(policies), list_problem_sets(policies), compare_with_start(policies)
    compared = sort_metrics({key for by_metric in changes.values() for key in by_metric})
    for policy, row in zip(policies, rows, strict=True):
        for problem_set in sets:
            for metric in problem_set.metrics:
                name = f"{problem_set.name}_{metric.key}" if problem_set.name else metric.key
                if name not in row:
                    row |= _format_interval(name, read_estimate(problem_set.get_metrics(policy.name), metric.key))
        for metric in compared:
            row |= _format_change(metric.key, changes.get(policy.name, {}).get(metric.key))
    return rows


def list_headline_metrics(policies: list[PolicyReports]) -> list[str]:
    """Pass@1, every Maj@k, and stepwise error."""
    return ["pass_at_1", *(f"maj_at_{k}" for k in list_majority_ks(policies)), "stepwise_error"]


def _format_interval(name: str, estimate: dict[str, Any]) -> dict[str, Cell]:
    return {f"{name}{ending}": _round(estimate[part]) for ending, part in _INTERVAL_ENDINGS.items()}


def _format_change(name: str, change: Comparison | None) -> dict[str, Cell]:
    """How a metric changed from the policy that the round starts from, and McNemar's p-value."""
    cells = {f"{name}_change{ending}": getattr(change, part, None) for ending, part in _CHANGE_ENDINGS.items()}
    return {key: float(f"{x:.3g}") if key.endswith("_p") and x is not None else _round(x) for key, x in cells.items()}


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), NUM_DECIMALS)


def format_csv(rows: list[dict[str, Cell]]) -> str:
    """`rows` as CSV with a header; None is an empty field."""
    return pl.DataFrame(rows, infer_schema_length=None).write_csv()


def collect_metrics(policies: list[PolicyReports]) -> dict[str, dict[str, float]]:
    """``{round: {metric: value}}`` for ``dvc metrics show``: the headline metrics that were measured."""
    keys = list_headline_metrics(policies)
    values = {
        policy.name: {key: _round(get_number(policy.reports, "evaluate", "metrics", key, "value")) for key in keys}
        for policy in policies
    }
    return {name: {key: x for key, x in by_key.items() if x is not None} for name, by_key in values.items()}


def format_text(policies: list[PolicyReports]) -> str:
    """The headline metrics for the terminal: percentages with their intervals."""
    keys = list_headline_metrics(policies)
    titles = [metric.title for metric in sort_metrics(keys)]
    lines = [["round", "from", "method", *titles]]
    for policy in policies:
        metrics = get_dict(policy.reports, "evaluate", "metrics")
        cells = [_format_percent(read_estimate(metrics, metric.key)) for metric in sort_metrics(keys)]
        lines.append([policy.name, policy.start_policy or "-", policy.method or "-", *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _format_percent(estimate: dict[str, Any]) -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "-"
    return f"{100 * value:.1f}%" + ("" if low is None or high is None else f" ({100 * low:.1f}-{100 * high:.1f})")
