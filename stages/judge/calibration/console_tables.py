"""Judges side by side on human labels, as lines for a console, with published judges for orientation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.block import load, load_seed, validate
from stages.common.params.judge import JudgeParams
from stages.common.plugins import load_plugins
from stages.common.tables import write_json
from stages.judge.calibration.calibrate import calibrate_judge
from stages.judge.calibration.first_errors import FirstError, count_first_errors, list_first_errors
from stages.judge.calibration.processbench import HALVES, ProcessBenchRow, read_processbench

PUBLISHED_F1 = {
    "o1-mini": 87.9,
    "QwQ-32B-Preview": 71.5,
    "GPT-4o": 61.9,
    "Qwen2.5-72B-Instruct": 61.2,
    "Llama-3.3-70B-Instruct": 58.0,
    "Math-Shepherd-PRM-7B": 31.5,
}
"""F1 in percent on ProcessBench, mean of its four parts (arXiv 2412.06559)."""

MAX_STEP_CHARS = 600
"""Characters of a step in `describe_error`."""

_FIRST_ERRORS = f"{'':22}  rows  errors  correct  late  false alarms  precision: all, labelled, at or after; recall"
_RATES = ("judge", "solutions", "erroneous", "correct", "F1", "of 1 vote", "precision", "recall", "unknown", "agree")


def calibrate_judges(
    files: Sequence[Path],
    kinds: Sequence[str] = (),
    recipes: Sequence[Path] = (),
    half: str | None = None,
    show: Sequence[str] = (),
    out: Path | None = None,
) -> Iterator[str]:
    """Calibrate judges on `files` in the format of ProcessBench; yield lines for a console.

    `kinds` are judges that need no params, `recipes` params files whose judges to calibrate. `half` restricts the rows
    to one half (``first``, ``second``) by the hash of their id; `show` prints the judges' first errors of these kinds
    (``correct``, ``late``, ``false alarm``). `out` receives all metrics by judge as JSON.
    """
    named = [(path.name, row) for path in files for row in read_processbench(path) if half in (None, row.half)]
    rows = [row for _, row in named]
    judges = {kind: (validate(JudgeParams, {"kind": kind}, "judge"), 0) for kind in kinds}
    for recipe in recipes:
        load_plugins(recipe)
        judges[str(recipe)] = load(JudgeParams, recipe, "judge"), load_seed(recipe)
    metrics: dict[str, dict[str, Any]] = {}
    for name, (params, seed) in judges.items():
        calibration = calibrate_judge(params, seed, rows, f"calibrate {name}")
        metrics[name] = calibration.metrics
        yield f"First errors by {name}:"
        yield from format_first_errors(named, calibration.labels)
        errors = list_first_errors(rows, calibration.labels)
        yield from (f"\n{describe_error(error)}" for error in errors if error.kind in show)
        yield ""
    yield from (format_judge_rates(name, values) for name, values in metrics.items())
    yield ""
    yield from compare_judges(metrics)
    if out is not None:
        write_json(out, metrics)


def format_first_errors(files: Sequence[tuple[str, ProcessBenchRow]], labels: pl.DataFrame) -> Iterator[str]:
    """A table of counts by file and half of the rows; `files` holds each row with the name of its file."""
    yield _FIRST_ERRORS
    for name in [*dict.fromkeys(name for name, _ in files), "all"]:
        for half in HALVES:
            rows = [row for file, row in files if name in (file, "all") and half in (row.half, "all")]
            values = list(count_first_errors(rows, list_first_errors(rows, labels)).values())
            counts = "".join(str(count).rjust(width) for count, width in zip(values, (6, 8, 9, 6, 14), strict=False))
            rates = "".join(f"{'-' if rate is None else f'{rate:.3f}':>7}" for rate in values[5:])
            yield f"{f'{name} {half}':22}{counts}  {rates}"


def describe_error(error: FirstError) -> str:
    """The error and its step in two lines."""
    step = " ".join(error.row.steps[error.step].split())[:MAX_STEP_CHARS]
    expected = "none" if error.row.first_error is None else error.row.first_error
    return f"{error.kind}: {error.row.key} step {error.step}, first error {expected}: {error.reason}\n  {step}"


def compare_judges(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a table of calibrations by the judge's name, in percent, then the published ones."""
    width = max(map(len, (*metrics, *PUBLISHED_F1))) + 2
    yield _RATES[0].ljust(width) + "".join(name.rjust(11) for name in _RATES[1:])
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
