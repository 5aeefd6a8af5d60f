"""How well a judge agrees with human labels, what more votes gain, what replies cost, and the gate before labelling."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.params.judge import GateParams, JudgeParams
from stages.common.provenance import compute_sha256
from stages.judge.calibration.benchmark_metrics import compute_metrics, group_labels
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


def run_gate(params: JudgeParams, seed: int, desc: str) -> dict[str, Any] | None:
    """The metrics of the judge on the gate's files, None without a gate; see `check_gate`."""
    if params.gate is None:
        return None
    rows = [row for name in params.gate.files for row in read_processbench(Path(name))]
    chosen = sorted(rows, key=lambda row: row.sample_id)[: params.gate.max_solutions]
    files = {Path(name).name: compute_sha256(Path(name)) for name in params.gate.files}
    metrics = calibrate_judge(params, seed, chosen, desc).metrics
    return {"files": files, "required": {"min_f1": params.gate.min_f1}, **metrics}


def check_gate(gate: GateParams, metrics: dict[str, Any], report: Path) -> None:
    """Raise `UserError` where the judge does not reach the gate; `report` is the file with all metrics."""
    if metrics["f1"] is not None and metrics["f1"] >= gate.min_f1:
        return
    raise UserError(
        f"judge.gate.min_f1: expected at least {gate.min_f1:g}, found {metrics['f1']} on {metrics['solutions']} "
        f"solutions (accuracy on erroneous {metrics['accuracy_on_erroneous']}, on correct "
        f"{metrics['accuracy_on_correct']}); nothing is labelled. All metrics: {report}"
    )


def _scale_usage(usage: dict[str, Any], num_solutions: int) -> dict[str, Any]:
    """Tokens and cost per 1,000 solutions, whichever run paid for them; null where not reported."""
    scaled = {
        name: round(usage[name] * 1000 / num_solutions, 6) if usage[name] is not None and num_solutions else None
        for name in ("prompt_tokens", "completion_tokens", "cost")
    }
    return {"model": usage["model"], "currency": usage["currency"], **scaled}
