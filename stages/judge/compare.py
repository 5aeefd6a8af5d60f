"""Judges side by side on people's labels, with published ones for orientation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

PUBLISHED = {
    "o1-mini": 87.9,
    "QwQ-32B-Preview": 71.5,
    "GPT-4o": 61.9,
    "Qwen2.5-72B-Instruct": 61.2,
    "Llama-3.3-70B-Instruct": 58.0,
    "Math-Shepherd-PRM-7B": 31.5,
}
"""F1 in percent on ProcessBench, mean of its four parts (arXiv 2412.06559)."""

_HEADING = ("judge", "solutions", "erroneous", "correct", "F1", "of 1 vote", "precision", "recall", "unknown", "agree")


def side_by_side(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a table of calibrations by the judge's name: ProcessBench's numbers in percent, then the published."""
    width = max(map(len, (*found, *PUBLISHED))) + 2
    yield _HEADING[0].ljust(width) + "".join(name.rjust(11) for name in _HEADING[1:])
    for name, numbers in found.items():
        steps = numbers["steps"]
        shares = (
            numbers["accuracy_on_erroneous"],
            numbers["accuracy_on_correct"],
            numbers["f1"],
            numbers["f1_of_one_vote"],
            steps["precision_of_wrong"],
            steps["recall_of_wrong"],
            steps["unknown"],
            numbers["agreement"],
        )
        yield name.ljust(width) + str(numbers["solutions"]).rjust(11) + "".join(map(_percent, shares))
    for name, percent in PUBLISHED.items():
        yield f"{name.ljust(width)}{'published'.rjust(11)}{'':22}{percent:11.1f}"


def rates_for_evaluation(name: str, numbers: Mapping[str, Any]) -> str:
    """A calibration's rates as a line of a recipe, for an evaluation whose judge this is; else why they are none."""
    rates = {rate: numbers[rate] for rate in ("sensitivity", "specificity")}
    values = [rate["value"] for rate in rates.values()]
    if None in values:
        return f"evaluate.judge_rates of {name}: none, since people found an error in all solutions or in none"
    if sum(values) <= 1:
        return f"evaluate.judge_rates of {name}: none, since this judge is no better than chance"
    return f"evaluate.judge_rates of {name}: {json.dumps(rates).replace(chr(34), '')}"


def _percent(share: float | None) -> str:
    return f"{'-' if share is None else f'{100 * share:.1f}':>11}"
