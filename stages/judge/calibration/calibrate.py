"""How well a judge agrees with human labels, what more votes gain, what replies cost, and the gate before labelling."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.params.judge import GateParams, JudgeParams
from stages.common.provenance import compute_sha256
from stages.judge.calibration.benchmark_formats import read_solutions
from stages.judge.calibration.benchmark_metrics import compute_metrics, group_labels
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.label_stats import divide
from stages.judge.labelling import Judge, make_judge, open_judge
from stages.judge.llm import count_kept_votes
from stages.judge.step_labels import LabelEvidence


@dataclass(frozen=True)
class Calibration:
    """A judge's labels of solutions that people labelled (LABEL rows), and the metrics for reports."""

    labels: pl.DataFrame
    metrics: dict[str, Any]


def calibrate_judge(params: JudgeParams, seed: int, solutions: Sequence[LabelledSolution], desc: str) -> Calibration:
    """Let the judge of `params` label `solutions`, without label noise; see `compute_metrics`.

    The metrics also tell the F1 of the first vote alone, how often two votes on a step agree, the fraction of replies
    that were cut by length, and tokens and cost per 1,000 solutions.
    """
    params = params.model_copy(update={"label_noise": 0.0})
    tables = build_tables(solutions)
    with open_judge(params, seed, desc) as judge:
        made, usage, identity = judge.label(*tables), judge.report_usage(), judge.identity
    metrics = compute_metrics(solutions, group_labels(made.labels))
    known = made.labels.drop_nulls("label")
    f1_of_one_vote = metrics["f1"]
    if judge.has_replies and params.num_votes > 1:
        one = make_judge(params.model_copy(update={"num_votes": 1}), seed)
        labels = one.recount(LabelEvidence(*tables, made.labels, made.replies.filter(pl.col("vote") == 0)))
        f1_of_one_vote = None if labels is None else compute_metrics(solutions, group_labels(labels))["f1"]
    metrics |= {
        "judge": identity,
        "num_votes": params.num_votes,
        "agreement": round(float(known["agreement"].mean() or 0.0), 6) if known.height else None,  # type: ignore[arg-type]
        "f1_of_one_vote": f1_of_one_vote,
        "self_consistency": _compute_consistency(judge, made.replies, tables[2]),
        "cut": divide(made.replies.filter(finish_reason="length").height, made.replies.height),
        "per_1000_solutions": {name: _scale_usage(of_judge, len(solutions)) for name, of_judge in usage.items()},
    }
    return Calibration(made.labels, metrics)


def run_gate(params: JudgeParams, seed: int, desc: str) -> dict[str, Any] | None:
    """The metrics of the judge on the test split of the gate's files, None without a gate; see `check_gate`."""
    if params.gate is None:
        return None
    solutions = [it for name in params.gate.files for it in read_solutions(Path(name)) if it.split == "test"]
    chosen = sorted(solutions, key=lambda it: it.sample_id)[: params.gate.max_solutions]
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


def _compute_consistency(judge: Judge, rows: pl.DataFrame, steps: pl.DataFrame) -> float | None:
    """How often two valid votes on a step agree, over all pairs of votes; None where no step has two."""
    if not judge.has_replies:
        return None
    counts = count_kept_votes(rows, steps, judge.params.num_votes, judge.llms)
    correct, incorrect = counts["votes_correct"], counts["votes_incorrect"]
    both = correct + incorrect
    agreeing = correct * (correct - 1) + incorrect * (incorrect - 1)
    return divide(int(agreeing.sum()), int((both * (both - 1)).sum()))


def _scale_usage(usage: dict[str, Any], num_solutions: int) -> dict[str, Any]:
    """Tokens and cost per 1,000 solutions, whichever run paid for them; null where not reported."""
    scaled = {
        name: round(usage[name] * 1000 / num_solutions, 6) if usage[name] is not None and num_solutions else None
        for name in ("prompt_tokens", "completion_tokens", "cost")
    }
    return {"model": usage["model"], "currency": usage["currency"], **scaled}
