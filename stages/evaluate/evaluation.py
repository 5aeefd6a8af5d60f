"""An evaluation of a policy on a split of the problems and on every benchmark."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common.benchmarks import read_benchmark
from stages.common.errors import UserError
from stages.common.params.evaluate import EvaluateParams
from stages.common.policies import Policy
from stages.common.statistics import CONFIDENCE_LEVEL
from stages.evaluate.evaluation_params import EvaluationParams, name_judge
from stages.evaluate.judge_agreement import load_human_labels, score_judge
from stages.evaluate.problem_set import ProblemSetRun, evaluate_problems
from stages.sample import open_engine

BENCHMARKS = "benchmarks"
"""Folder of the benchmarks' tables, and their key in the report."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation's tables by the folder they are written to, and its report."""

    tables: dict[str, pl.DataFrame]
    report: dict[str, Any]


def choose_problems(problems: pl.DataFrame, params: EvaluateParams) -> pl.DataFrame:
    """The problems to evaluate (PROBLEM rows), the first by id of the chosen split; `UserError` if there are none."""
    chosen = problems.filter(pl.col("split") == params.split)
    if chosen.is_empty():
        raise UserError(f"evaluate.split: no problem is in split {params.split}")
    return _take_first(chosen, params)


def evaluate_policy(problems: pl.DataFrame, policy: Policy, params: EvaluationParams, desc: str) -> Evaluation:
    """Evaluate `policy` on the chosen split of `problems` (PROBLEM rows of every split) and on the benchmarks.

    `desc` titles the progress bars. All samples are drawn first, by one engine; see `evaluate_problems` for what is
    done with those of each set. Raises `UserError` for a policy without weights (or with weights where completions
    are recorded), for an incomplete benchmark, and for a file of human labels that is missing, changed or damaged.
    """
    own = params.evaluate
    _check_can_sample(policy, params)
    sets = {} if own.split is None else {"": ProblemSetRun(choose_problems(problems, own), policy, params, desc)}
    for name, benchmark in own.benchmarks.items():
        chosen = _take_first(read_benchmark(name, benchmark), own)
        sets[name] = ProblemSetRun(chosen, policy, params, f"{desc} {name}")
    human_labels = None if own.human_labels is None else load_human_labels(own.human_labels)  # fails before sampling
    with open_engine(policy, params.sample, params.runtime) as engine:
        for run in sets.values():
            run.draw(engine)
    report: dict[str, Any] = {
        "policy": policy.hash,
        "split": own.split,
        "num_majority_samples": own.num_majority_samples,
        "temperature": own.temperature,
        "interval": {
            "level": CONFIDENCE_LEVEL,
            "method": "percentile bootstrap over problems",
            "num_bootstrap_samples": own.num_bootstrap_samples,
        },
        "judge": {
            "name": name_judge(params.evaluation_judge),
            "training_judge": name_judge(params.judge),
            "rates": None if own.judge_rates is None else own.judge_rates.model_dump(),
        },
        "metrics": {},
        "num_rows": {},
        "completion_tokens": 0,
        "llm_usage": {},
        BENCHMARKS: {},
    }
    tables: dict[str, pl.DataFrame] = {}
    for name, run in sets.items():
        result = evaluate_problems(run)
        if not name:  # the split
            tables |= result.tables
            report |= result.report
            continue
        tables[f"{BENCHMARKS}/{name}/problems"] = run.problems
        tables |= {f"{BENCHMARKS}/{name}/{folder}": table for folder, table in result.tables.items()}
        report["completion_tokens"] += result.report["completion_tokens"]
        usage = result.report.pop("llm_usage")
        report["llm_usage"] |= {f"{name} {phase}": used for phase, used in usage.items()}
        examples = result.report.pop("examples")
        report.setdefault("examples", examples)  # of the split, or of the first benchmark if there is no split
        report[BENCHMARKS][name] = {"origin": run.problems["origin"][0], **result.report}
    if human_labels is not None:
        report["judge"]["human_labels"] = score_judge(human_labels, tables, params.bootstrap)
    return Evaluation(tables, report)


def _take_first(problems: pl.DataFrame, params: EvaluateParams) -> pl.DataFrame:
    ordered = problems.sort("problem_id")
    return ordered if params.num_problems is None else ordered.head(params.num_problems)


def _check_can_sample(policy: Policy, params: EvaluationParams) -> None:
    """Refuse a policy and an engine that do not fit together."""
    has_weights = policy.repo is not None or any(policy.folder.glob("*.safetensors"))
    if params.is_recorded and has_weights:
        raise UserError(
            "sample.engine: recorded completions say nothing about a policy that has weights; use another engine"
        )
    if params.is_recorded and not params.evaluate.num_majority_samples:
        raise UserError("evaluate.num_majority_samples: 0 uses none of the recorded completions; set at least 1")
    if not params.is_recorded and not has_weights:
        raise UserError(
            f"{policy.folder}: this policy has no weights (seed_model.kind none), so it cannot be evaluated"
        )
