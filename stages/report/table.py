"""The table of rounds: as CSV, as metrics for DVC, and for the console."""

from __future__ import annotations

import csv
import io
from typing import Any

from stages.common.statistics import Comparison
from stages.report.comparisons import changes_over_policy
from stages.report.measures import Measure, ProblemSet, estimate, problem_sets
from stages.report.sources import Model, at, count, majorities, number

DECIMALS = 6
"""Decimals kept of a share; intervals of 2,000 resamples are good to three."""

Cell = str | float | int | None

_COUNTED = {
    "pass_at_1": ("right", "problems"),
    "stepwise_error": ("wrong", "of"),
    "wrong_all_steps_right": ("count", "of"),
}
"""Names of the numerator's and denominator's column."""

_PARTS = {"": "value", "_low": "low", "_high": "high"}
"""Endings of a metric's columns."""

_PLAIN = ("unknown_steps", "unknown_outcome", "no_answer", "length_cut", "tokens_per_solution")


def headline_table(models: list[Model]) -> list[dict[str, Cell]]:
    """A row per model: shares from 0 to 1, the bounds of their 95% intervals, and counts; null where not measured."""
    return [_row(model, majorities(models)) for model in models]


def rounds_table(models: list[Model]) -> list[dict[str, Cell]]:
    """`headline_table` with a column for whatever else was measured.

    After the columns that every recipe has stand those of several samples and of benchmarks, named
    ``<benchmark>_<metric>``, and how each model differs from the one that it started from, on the same problems.
    """
    sets, changes = problem_sets(models), changes_over_policy(models)
    compared = Measure.known({key for found in changes.values() for key in found})
    rows = []
    for model, row in zip(models, headline_table(models), strict=True):
        for it in sets:
            row |= _measured(row, it, model.name)
        for measure in compared:
            row |= _change(measure.key, changes.get(model.name, {}).get(measure.key))
        rows.append(row)
    return rows


def _measured(row: dict[str, Cell], it: ProblemSet, model: str) -> dict[str, Cell]:
    """Columns of everything measured on one set that `row` does not hold yet."""
    cells: dict[str, Cell] = {}
    for measure in it.measures:
        name = f"{it.name}_{measure.key}" if it.name else measure.key
        if name not in row:
            figures = estimate(it.metrics(model), measure.key)
            cells |= {f"{name}{end}": _rounded(figures[part]) for end, part in _PARTS.items()}
    return cells


def _change(name: str, change: Comparison | None) -> dict[str, Cell]:
    """How a metric changed from the policy that the round started from, and McNemar's p-value."""
    difference, low, high, p_value = (
        (None,) * 4 if change is None else (change.difference, change.low, change.high, change.p_value)
    )
    return {
        f"{name}_change": _rounded(difference),
        f"{name}_change_low": _rounded(low),
        f"{name}_change_high": _rounded(high),
        f"{name}_change_p": None if p_value is None else float(f"{p_value:.3g}"),
    }


def _row(model: Model, ks: list[int]) -> dict[str, Cell]:
    metrics = at(model.reports, "evaluate", "metrics")
    row: dict[str, Cell] = {"round": model.name, "policy": model.policy, "method": model.method}
    row |= _interval(metrics, "pass_at_1")
    row["pass_at_1_right"] = count(metrics, "pass_at_1", "numerator")
    row["problems"] = count(metrics, "pass_at_1", "denominator")
    for k in ks:
        row |= _interval(metrics, f"maj_at_{k}")
        row[f"maj_at_{k}_right"] = count(metrics, f"maj_at_{k}", "numerator")
    for name in ("stepwise_error", "wrong_all_steps_right"):
        top, bottom = _COUNTED[name]
        row |= _interval(metrics, name)
        row[f"{name}_{top}"] = count(metrics, name, "numerator")
        row[f"{name}_{bottom}"] = count(metrics, name, "denominator")
    return row | {name: _rounded(number(metrics, name, "value")) for name in _PLAIN}


def _interval(metrics: Any, name: str) -> dict[str, Cell]:
    return {f"{name}{end}": _rounded(number(metrics, name, part)) for end, part in _PARTS.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DECIMALS)


def to_csv(rows: list[dict[str, Cell]]) -> str:
    """`rows` as CSV with a header; null is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_metrics(rows: list[dict[str, Cell]]) -> dict[str, dict[str, Cell]]:
    """``{round: {metric: value}}`` for ``dvc metrics show``: the three headline shares, null ones left out."""
    return {str(row["round"]): {name: row[name] for name in _headline(row) if row[name] is not None} for row in rows}


def _headline(row: dict[str, Cell]) -> list[str]:
    """The columns of Pass@1, every Maj@k, and stepwise error."""
    majority = [name for name in row if name.startswith("maj_at_") and name.count("_") == 2]
    return ["pass_at_1", *majority, "stepwise_error"]


def to_text(rows: list[dict[str, Cell]]) -> str:
    """`rows` for the console: shares in percent with their intervals."""
    shown = {"pass_at_1": "Pass@1", "stepwise_error": "wrong step in right"}
    columns = {shown.get(name, name.replace("maj_at_", "Maj@")): name for name in _headline(rows[0])}
    lines = [["round", "from", "method", *columns]]
    for row in rows:
        cells = [str(row["round"]), str(row["policy"]) or "-", str(row["method"]) or "-"]
        lines.append(cells + [_percent(row, name) for name in columns.values()])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _percent(row: dict[str, Cell], name: str) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if not isinstance(value, int | float):
        return "-"
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return f"{100 * value:.1f}%"
    return f"{100 * value:.1f}% ({100 * low:.1f}-{100 * high:.1f})"
