"""How well a judge agrees with human labels, what more votes gain, and what replies cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.block import load, load_seed, validate
from stages.common.params.judge import JudgeParams
from stages.common.plugins import load_plugins
from stages.common.tables import write_json
from stages.judge.calibration.benchmark_metrics import compute_metrics, group_labels
from stages.judge.calibration.comparison import compare_judges, format_judge_rates
from stages.judge.calibration.first_errors import describe_error, format_first_errors, list_first_errors
from stages.judge.calibration.processbench import ProcessBenchRow, build_tables, read_processbench
from stages.judge.labelling import open_judge


@dataclass(frozen=True)
class Calibration:
    """A judge's labels of solutions that people labelled (LABEL rows), and the metrics for reports."""

    labels: pl.DataFrame
    metrics: dict[str, Any]


def calibrate_judge(params: JudgeParams, seed: int, rows: Sequence[ProcessBenchRow], desc: str) -> Calibration:
    """Let the judge of `params` label `rows`, without label noise; see `compute_metrics`.

    The metrics also tell the F1 of the first vote alone, and tokens and cost per 1,000 solutions.
    """
    params = params.model_copy(update={"label_noise": 0.0})
    tables = build_tables(rows)
    with open_judge(params, seed, desc) as judge:
        labels, usage, identity = judge.label(*tables).labels, judge.report_usage(), judge.identity
    with open_judge(params.model_copy(update={"num_votes": 1}), seed, desc) as judge:
        first_vote = judge.label(*tables).labels  # replies are in the journal
    known = labels.drop_nulls("label")
    metrics = {
        **compute_metrics(rows, group_labels(labels)),
        "judge": identity,
        "num_votes": params.num_votes,
        "agreement": round(float(known["agreement"].mean() or 0.0), 6) if known.height else None,  # type: ignore[arg-type]
        "f1_of_one_vote": compute_metrics(rows, group_labels(first_vote))["f1"],
        "per_1000_solutions": {name: _scale_usage(of_judge, len(rows)) for name, of_judge in usage.items()},
    }
    return Calibration(labels, metrics)


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
    named = [(path.name, row) for path in files for row in read_processbench(path)]
    named = [(name, row) for name, row in named if half in (None, row.half)]
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


def _scale_usage(usage: dict[str, Any], num_solutions: int) -> dict[str, Any]:
    """Tokens and cost per 1,000 solutions, whichever run paid for them; null where not reported."""
    total = usage["total"]
    scaled = {
        name: round(total[name] * 1000 / num_solutions, 6) if total[name] is not None and num_solutions else None
        for name in ("prompt_tokens", "completion_tokens", "cost")
    }
    return {"model": usage["model"], "currency": total["currency"], **scaled}
