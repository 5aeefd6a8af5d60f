"""A table of judges on human labels, with published ones for orientation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

PUBLISHED_F1 = {
    "o1-mini": 87.9,
    "QwQ-32B-Preview": 71.5,
    "GPT-4o": 61.9,
    "Qwen2.5-72B-Instruct": 61.2,
    "Llama-3.3-70B-Instruct": 58.0,
    "Math-Shepherd-PRM-7B": 31.5,
}
"""F1 in percent on ProcessBench, mean of its four parts (arXiv 2412.06559)."""

_HEADING = ("judge", "solutions", "erroneous", "correct", "F1", "of 1 vote", "precision", "recall", "unknown", "agree")


def compare_judges(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a table of calibrations by the judge's name, in percent, then the published ones."""
    width = max(map(len, (*metrics, *PUBLISHED_F1))) + 2
    yield _HEADING[0].ljust(width) + "".join(name.rjust(11) for name in _HEADING[1:])
    for name, values in metrics.items():
        steps = values["steps"]
        rates = (
            *(values[key] for key in ("accuracy_on_erroneous", "accuracy_on_correct", "f1", "f1_of_one_vote")),
            *(steps[key] for key in ("precision_of_incorrect", "recall_of_incorrect", "unknown")),
            values["agreement"],
        )
        cells = [f"{'-' if rate is None else f'{100 * rate:.1f}':>11}" for rate in rates]
        yield name.ljust(width) + str(values["solutions"]).rjust(11) + "".join(cells)
    for name, percent in PUBLISHED_F1.items():
        yield f"{name.ljust(width)}{'published'.rjust(11)}{'':22}{percent:11.1f}"


def format_judge_rates(name: str, metrics: Mapping[str, Any]) -> str:
    """A calibration's rates as a line for the recipe of an evaluation with this judge, or why there are none."""
    rates = {rate: metrics[rate] for rate in ("sensitivity", "specificity")}
    values = [rate["value"] for rate in rates.values()]
    if None in values:
        return f"evaluate.judge_rates of {name}: none, since people found an error in all solutions or in none"
    if sum(values) <= 1:
        return f"evaluate.judge_rates of {name}: none, since this judge is no better than chance"
    return f"evaluate.judge_rates of {name}: {json.dumps(rates).replace(chr(34), '')}"
