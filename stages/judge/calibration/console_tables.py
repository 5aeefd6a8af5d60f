"""Judges side by side on human labels, as lines for a console, with published judges for orientation."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.params.block import load, load_seed, validate
from stages.common.params.judge import JudgeParams
from stages.common.plugins import load_plugins
from stages.common.tables import write_json
from stages.judge.calibration.benchmark_formats import read_solutions
from stages.judge.calibration.calibrate import calibrate_judge
from stages.judge.calibration.first_errors import FirstError, count_first_errors, list_first_errors
from stages.judge.calibration.labelled_solutions import SPLITS, LabelledSolution

PUBLISHED = Path(__file__).parent / "published.json"
"""F1 of judges on ProcessBench, each with its origin."""

MAX_STEP_CHARS = 600
"""Characters of a step in `describe_error`."""

_FIRST_ERRORS = f"{'':22}   all  errors  correct  late  false alarms  precision: all, labelled, at or after; recall"
_PARTS = ("gsm8k", "math", "olympiadbench", "omnimath", "average")


def calibrate_judges(
    files: Sequence[Path],
    kinds: Sequence[str] = (),
    recipes: Sequence[Path] = (),
    split: str | None = None,
    show: Sequence[str] = (),
    out: Path | None = None,
    read: Callable[[Path], Iterable[LabelledSolution]] = read_solutions,
) -> Iterator[str]:
    """Calibrate judges on `files`, which `read` reads: in a format of `benchmark_formats`; yield lines for a console.

    `kinds` are judges that need no params, `recipes` params files whose judges to calibrate. `split` restricts the
    solutions to one of `SPLITS`; `show` prints the judges' first errors of these kinds (``correct``, ``late``,
    ``false alarm``). `out` receives all metrics by judge as JSON. What was sent before is in the journal, so that the
    same command continues a run that was killed.
    """
    named = [(path.name, it) for path in files for it in read(path) if split in (None, it.split)]
    solutions = [it for _, it in named]
    if not solutions:
        raise UserError(
            f"{', '.join(map(str, files))}: expected solutions in split {split or 'dev or test'}, found none"
        )
    judges = {kind: (validate(JudgeParams, {"kind": kind}, "judge"), 0) for kind in kinds}
    for recipe in recipes:
        load_plugins(recipe)
        judges[str(recipe)] = load(JudgeParams, recipe, "judge"), load_seed(recipe)
    metrics: dict[str, dict[str, Any]] = {}
    for name, (params, seed) in judges.items():
        calibration = calibrate_judge(params, seed, solutions, f"calibrate {name}")
        metrics[name] = calibration.metrics
        yield f"First errors by {name}:"
        yield from format_first_errors(named, calibration.labels)
        errors = list_first_errors(solutions, calibration.labels)
        yield from (f"\n{describe_error(error)}" for error in errors if error.kind in show)
        yield ""
    yield from (format_judge_rates(name, values) for name, values in metrics.items())
    yield from compare_judges(metrics)
    yield from list_published()
    if out is not None:
        write_json(out, metrics)


def format_first_errors(files: Sequence[tuple[str, LabelledSolution]], labels: pl.DataFrame) -> Iterator[str]:
    """A table of counts by file and split; `files` holds each solution with the name of its file."""
    yield _FIRST_ERRORS
    for name in [*dict.fromkeys(name for name, _ in files), "all"]:
        for split in ("all", *SPLITS):
            chosen = [it for file, it in files if name in (file, "all") and split in (it.split, "all")]
            values = list(count_first_errors(chosen, list_first_errors(chosen, labels)).values())
            counts = "".join(str(count).rjust(width) for count, width in zip(values, (6, 8, 9, 6, 14), strict=False))
            rates = "".join(f"{'-' if rate is None else f'{rate:.3f}':>7}" for rate in values[5:])
            yield f"{f'{name} {split}':22}{counts}  {rates}"


def describe_error(error: FirstError) -> str:
    """The error and its step in two lines."""
    step = " ".join(error.solution.steps[error.step].split())[:MAX_STEP_CHARS]
    expected = "none" if error.solution.first_error is None else error.solution.first_error
    return f"{error.kind}: {error.solution.key} step {error.step}, first error {expected}: {error.reason}\n  {step}"


def compare_judges(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines of tables of calibrations side by side, by the judge's name: rates in percent with their 95% intervals."""
    solutions, steps, groups = {}, {}, defaultdict[str, dict[str, str]](dict)
    for name, values in metrics.items():
        priced = [it for it in values["per_1000_solutions"].values() if it["cost"] is not None]
        solutions[name] = {
            "solutions": str(values["solutions"]),
            **{
                title: _format_rate(values, key)
                for title, key in (
                    ("F1", "f1"),
                    ("erroneous", "accuracy_on_erroneous"),
                    ("correct", "accuracy_on_correct"),
                )
            },
            "F1 of 1 vote": _format_percent(values["f1_of_one_vote"]),
            "votes agree": _format_percent(values["self_consistency"]),
            "unknown": _format_percent(values["steps"]["unknown"]),
            "cut": _format_percent(values["cut"]),
            "cost per 1,000": f"{sum(it['cost'] for it in priced):.2f} {priced[0]['currency']}" if priced else "-",
        }
        steps[name] = {
            f"{rate} of {label}": _format_rate(
                values["steps"] | {"intervals": values["intervals"]}, f"{rate}_of_{label}"
            )
            for label in ("incorrect", "correct")
            for rate in ("precision", "recall", "f1")
        }
        for grouping in ("by_generator", "by_steps"):
            for group, of_group in values[grouping].items():
                unit = " steps" if grouping == "by_steps" else ""
                groups[f"{group}{unit} ({of_group['solutions']})"][name] = _format_rate(of_group, "f1")
    yield from _format_table("Solutions, in percent [95% interval]", solutions)
    yield from _format_table("Steps, in percent [95% interval]", steps)
    yield from _format_table("F1 by generator and by number of steps, in percent [95% interval]", groups)


def list_published() -> Iterator[str]:
    """Lines of a table of published judges, and where their numbers are from."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    rows = {
        f"{row['judge']}{f', {note}' if (note := row.get('note')) else ''}": {
            "kind": row["kind"],
            **{part: str(row["f1"].get(part, "-")) for part in _PARTS},
            "source": row["source"],
        }
        for row in sorted(published["judges"], key=lambda row: row["f1"]["average"])
    }
    yield from _format_table("Published: F1 on ProcessBench, in percent", rows)
    for name, source in published["sources"].items():
        yield f"{name}: {source['title']}, {source['url'] or 'no address'}; seen: {source['seen']}"


def _format_table(title: str, rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    widths = [max(len(column), *(len(row.get(column, "-")) for row in rows.values())) + 2 for column in columns]
    first = max(map(len, rows)) if rows else 0
    yield from ("", title)
    yield " " * first + "".join(column.rjust(width) for column, width in zip(columns, widths, strict=True))
    for name, row in rows.items():
        cells = "".join(row.get(column, "-").rjust(width) for column, width in zip(columns, widths, strict=True))
        yield name.ljust(first) + cells


def _format_percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def _format_rate(values: Mapping[str, Any], key: str) -> str:
    low, high = values["intervals"][key]
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{_format_percent(values[key])}{interval}"


def format_judge_rates(name: str, metrics: Mapping[str, Any]) -> str:
    """A calibration's rates as a line for the recipe of an evaluation with this judge, or why there are none."""
    rates = {rate: metrics[rate] for rate in ("sensitivity", "specificity")}
    values = [rate["value"] for rate in rates.values()]
    if None in values:
        return f"evaluate.judge_rates of {name}: none, since people found an error in all solutions or in none"
    if sum(values) <= 1:
        return f"evaluate.judge_rates of {name}: none, since this judge is no better than chance"
    return f"evaluate.judge_rates of {name}: {json.dumps(rates).replace(chr(34), '')}"
