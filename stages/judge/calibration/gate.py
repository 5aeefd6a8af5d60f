"""The gate before labelling: the judge must reach a minimum on human labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.params.judge import GateParams, JudgeParams
from stages.common.provenance import compute_sha256
from stages.judge.calibration.calibrate import calibrate_judge
from stages.judge.calibration.processbench import read_processbench


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
