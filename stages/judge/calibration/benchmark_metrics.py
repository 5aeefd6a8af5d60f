"""A judge's labels against human labels: ProcessBench's metrics, and precision and recall on single steps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from stages.common.statistics import Bootstrap, Floats, compute_interval
from stages.judge.calibration.labelled_solutions import LabelledSolution
from stages.judge.step_labels import find_first_error

RowLabels = Sequence[bool | None]
"""A judge's labels of one solution's steps."""

LENGTHS = ((1, 4), (5, 8), (9, 12), (13, None))
"""Ranges of the number of steps for which metrics are reported separately."""

BOOTSTRAP = Bootstrap(num_samples=1000, seed=0)
"""Draws of solutions, for the intervals."""

_NAMES = {True: "correct", False: "incorrect", None: "unknown"}
_CELLS = [(truth, label) for truth in ("correct", "incorrect") for label in _NAMES.values()]
"""Of the confusion matrix: the human label, and the judge's."""


def group_labels(labels: pl.DataFrame) -> dict[str, RowLabels]:
    """Labels of each sample's steps, in order, from LABEL rows."""
    grouped = labels.sort("sample_id", "step").group_by("sample_id").agg("label")
    return dict(grouped.select("sample_id", "label").iter_rows())


def is_match(solution: LabelledSolution, labels: RowLabels) -> bool:
    """Whether the judge finds the first error that people found, or none where they found none.

    A solution without an incorrect label counts as free of errors only if every step is labelled correct.
    """
    first_error = find_first_error(labels)
    if first_error is None and not all(labels):
        return False
    return first_error == solution.first_error


def compute_metrics(solutions: Sequence[LabelledSolution], labels: Mapping[str, RowLabels]) -> dict[str, Any]:
    """Metrics of all `solutions`, by generator, and by number of steps; rates are 0 to 1, null over nothing.

    `labels` holds the judge's labels by the solutions' sample_id. ``intervals`` has the bounds of the 95% interval of
    each rate, from `BOOTSTRAP`.
    """
    by_generator, by_steps = defaultdict(list), defaultdict(list)
    for solution in solutions:
        by_generator[solution.generator or "unknown"].append(solution)
        by_steps[_name_length(solution)].append(solution)
    groups = {"by_generator": by_generator, "by_steps": by_steps}
    return {
        **_compute(solutions, labels),
        **{name: {key: _compute(group[key], labels) for key in sorted(group)} for name, group in groups.items()},
    }


def _compute(solutions: Sequence[LabelledSolution], labels: Mapping[str, RowLabels]) -> dict[str, Any]:
    rows = [_count(solution, labels.get(solution.sample_id, ())) for solution in solutions]
    columns = [np.array([row[key] for row in rows], dtype=np.int64) for key in _KEYS]
    sums = dict(zip(_KEYS, np.array([[column.sum()] for column in columns], dtype=np.float64), strict=True))
    drawn = dict(zip(_KEYS, BOOTSTRAP.resample_sums(columns).astype(np.float64), strict=True)) if rows else sums
    rates = {name: _to_rate(values.item()) for name, values in _compute_rates(sums).items()}
    intervals = {
        name: [_to_rate(bound) for bound in compute_interval(it)] for name, it in _compute_rates(drawn).items()
    }
    in_steps = {name: rates.pop(name) for name in list(rates) if name.endswith("correct") and "_of_" in name}
    return {
        "solutions": len(solutions),
        **{name: rates[name] for name in ("accuracy_on_erroneous", "accuracy_on_correct", "f1")},
        # Of whole solutions, wherever the incorrect step is: `evaluate` corrects its rate of stepwise errors by these.
        "sensitivity": {"value": rates["sensitivity"], "denominator": int(sums["erroneous"].item())},
        "specificity": {"value": rates["specificity"], "denominator": int(sums["correct"].item())},
        "steps": {
            "confusion": {
                truth: {label: int(sums[truth, label].item()) for label in _NAMES.values()}
                for truth in ("correct", "incorrect")
            },
            **in_steps,
            "unknown": rates["unknown"],
        },
        "intervals": intervals,
    }


_KEYS: list[Any] = [
    *_CELLS, "erroneous", "correct", "match_erroneous", "match_correct", "alarm_erroneous", "quiet_correct", "steps",
    "unknown",
]  # fmt: skip
"""What is counted of each solution, and summed."""


def _count(solution: LabelledSolution, own: RowLabels) -> dict[Any, int]:
    counts = dict.fromkeys(_KEYS, 0)
    for truth, label in zip(solution.labels, own, strict=False):
        if truth is not None:
            counts[_NAMES[truth], _NAMES[label]] += 1
    counts["steps"], counts["unknown"] = len(own), sum(label is None for label in own)
    if solution.is_correct is not None:
        kind = "correct" if solution.is_correct else "erroneous"
        counts[kind], counts[f"match_{kind}"] = 1, is_match(solution, own)
        counts["alarm_erroneous" if kind == "erroneous" else "quiet_correct"] = (
            False in own
        ) is not solution.is_correct
    return counts


def _compute_rates(sums: Mapping[Any, Floats]) -> dict[str, Floats]:
    """Rates from sums over solutions, each of shape (draws,); NaN over nothing."""
    rates = {
        "accuracy_on_erroneous": _ratio(sums["match_erroneous"], sums["erroneous"]),
        "accuracy_on_correct": _ratio(sums["match_correct"], sums["correct"]),
        "sensitivity": _ratio(sums["alarm_erroneous"], sums["erroneous"]),
        "specificity": _ratio(sums["quiet_correct"], sums["correct"]),
        "unknown": _ratio(sums["unknown"], sums["steps"]),
    }
    rates["f1"] = _harmonic_mean(rates["accuracy_on_erroneous"], rates["accuracy_on_correct"])
    for name in ("incorrect", "correct"):
        hits = sums[name, name]
        labelled = sums["correct", name] + sums["incorrect", name]
        precision, recall = _ratio(hits, labelled), _ratio(hits, sum(sums[name, label] for label in _NAMES.values()))
        rates |= {f"precision_of_{name}": precision, f"recall_of_{name}": recall}
        rates[f"f1_of_{name}"] = _harmonic_mean(precision, recall)
    return rates


def _name_length(solution: LabelledSolution) -> str:
    for least, most in LENGTHS:
        if most is None or len(solution.steps) <= most:
            return f"{least:02}-{most:02}" if most else f"{least} or more"
    raise AssertionError("the last range has no end")


def _ratio(numerators: Floats, denominators: Any) -> Floats:
    ratios = np.full(numerators.shape, np.nan)
    np.divide(numerators, denominators, out=ratios, where=denominators > 0)
    return ratios


def _harmonic_mean(first: Floats, second: Floats) -> Floats:
    """NaN where one of the two is; 0 where both are 0."""
    return np.where(first + second == 0, 0.0, _ratio(2 * first * second, first + second))


def _to_rate(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(value, 6)
