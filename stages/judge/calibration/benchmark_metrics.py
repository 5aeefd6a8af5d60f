"""A judge's labels against human labels: ProcessBench's metrics, and precision and recall on single steps."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from stages.judge.calibration.processbench import ProcessBenchRow
from stages.judge.label_stats import divide
from stages.judge.step_labels import find_first_error

RowLabels = Sequence[bool | None]
"""A judge's labels of one solution's steps."""

LENGTHS = ((1, 4), (5, 8), (9, 12), (13, None))
"""Ranges of the number of steps for which metrics are reported separately."""

_NAMES = {True: "correct", False: "incorrect", None: "unknown"}


def group_labels(labels: pl.DataFrame) -> dict[str, RowLabels]:
    """Labels of each sample's steps, in order, from LABEL rows."""
    grouped = labels.sort("sample_id", "step").group_by("sample_id").agg("label")
    return dict(grouped.select("sample_id", "label").iter_rows())


def is_match(row: ProcessBenchRow, labels: RowLabels) -> bool:
    """Whether the judge finds the first error that people found, or none where they found none.

    A solution without an incorrect label counts as free of errors only if every step is labelled correct.
    """
    first_error = find_first_error(labels)
    if first_error is None and not all(labels):
        return False
    return first_error == row.first_error


def compute_metrics(rows: Sequence[ProcessBenchRow], labels: Mapping[str, RowLabels]) -> dict[str, Any]:
    """Metrics of all `rows`, by generator, and by number of steps; rates are 0 to 1, null over nothing.

    `labels` holds the judge's labels by the rows' sample_id.
    """
    by_generator, by_steps = defaultdict(list), defaultdict(list)
    for row in rows:
        by_generator[row.generator or "unknown"].append(row)
        by_steps[_name_length(row)].append(row)
    groups = {"by_generator": by_generator, "by_steps": by_steps}
    return {
        **_compute(rows, labels),
        **{name: {key: _compute(group[key], labels) for key in sorted(group)} for name, group in groups.items()},
    }


def _compute(rows: Sequence[ProcessBenchRow], labels: Mapping[str, RowLabels]) -> dict[str, Any]:
    matches: dict[bool, list[bool]] = {True: [], False: []}
    alarms: dict[bool, list[bool]] = {True: [], False: []}
    counts: Counter[tuple[str, str]] = Counter()
    num_unknown = num_steps = 0
    for row in rows:
        own = labels.get(row.sample_id, ())
        is_erroneous = row.first_error is not None
        matches[is_erroneous].append(is_match(row, own))
        alarms[is_erroneous].append(False in own)
        num_steps += len(own)
        num_unknown += sum(label is None for label in own)
        # People labelled the steps up to the first error.
        for step, label in enumerate(own[: None if row.first_error is None else row.first_error + 1]):
            counts[_NAMES[step != row.first_error], _NAMES[label]] += 1
    on_erroneous, on_correct = (divide(sum(matches[truth]), len(matches[truth])) for truth in (True, False))
    confusion = {
        truth: {label: counts[truth, label] for label in _NAMES.values()} for truth in ("correct", "incorrect")
    }
    num_hits = confusion["incorrect"]["incorrect"]
    return {
        "solutions": len(rows),
        "accuracy_on_erroneous": on_erroneous,
        "accuracy_on_correct": on_correct,
        "f1": _harmonic_mean(on_erroneous, on_correct),
        # Of whole solutions, wherever the incorrect step is: `evaluate` corrects its rate of stepwise errors by these.
        "sensitivity": _rate(alarms[True].count(True), len(alarms[True])),
        "specificity": _rate(alarms[False].count(False), len(alarms[False])),
        "steps": {
            "confusion": confusion,
            "precision_of_incorrect": divide(num_hits, num_hits + confusion["correct"]["incorrect"]),
            "recall_of_incorrect": divide(num_hits, sum(confusion["incorrect"].values())),
            "unknown": divide(num_unknown, num_steps),
        },
    }


def _name_length(row: ProcessBenchRow) -> str:
    for least, most in LENGTHS:
        if most is None or len(row.steps) <= most:
            return f"{least:02}-{most:02}" if most else f"{least} or more"
    raise AssertionError("the last range has no end")


def _rate(numerator: int, denominator: int) -> dict[str, float | int | None]:
    return {"value": divide(numerator, denominator), "denominator": denominator}


def _harmonic_mean(first: float | None, second: float | None) -> float | None:
    """None where one of the two is; 0 where both are 0."""
    if first is None or second is None:
        return None
    return round(2 * first * second / (first + second), 6) if first + second else 0.0
