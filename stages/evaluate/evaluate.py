"""An evaluation: a policy measured on a split of the problems and on every benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common.params.evaluate import EvaluateParams
from stages.common.policies import Policy
from stages.common.statistics import LEVEL
from stages.evaluate.benchmarks import read_benchmark
from stages.evaluate.measure import measure
from stages.evaluate.people import against_people, read_people
from stages.evaluate.settings import Settings, judge_name

BENCHMARKS = "benchmarks"
"""Folder of the benchmarks' tables, and their key in the report."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation's tables by the folder they are written to, and its report."""

    tables: dict[str, pl.DataFrame]
    report: dict[str, Any]


def choose_problems(problems: pl.DataFrame, params: EvaluateParams) -> pl.DataFrame:
    """The problems evaluated (PROBLEM rows), the first by id of the chosen split; `ValueError` when there are none."""
    chosen = problems.filter(pl.col("split") == params.split)
    if chosen.is_empty():
        raise ValueError(f"evaluate.split: no problem is in split {params.split}")
    return _first(chosen, params)


def evaluate_policy(problems: pl.DataFrame, policy: Policy, settings: Settings, label: str) -> Evaluation:
    """Evaluate `policy` on the chosen split of `problems` (PROBLEM rows of every split) and on the benchmarks.

    `label` names the progress bars. See `measure` for what is done on each set. Raises `ValueError` for a policy that
    has no weights, for one that has where solutions were recorded elsewhere, and for a benchmark that is not whole; and
    `FileNotFoundError` or `ValueError` for a file of people's verdicts that is missing, another or damaged.
    """
    params = settings.evaluate
    _check_can_sample(policy, settings)
    benchmarks = {name: _first(read_benchmark(name, it), params) for name, it in params.benchmarks.items()}
    verdicts = None if params.people is None else read_people(params.people)  # before anything is sampled
    report: dict[str, Any] = {
        "policy": policy.hash,
        "split": params.split,
        "majority": params.majority,
        "temperature": params.temperature,
        "interval": {"level": LEVEL, "method": "percentile bootstrap over problems", "resamples": params.bootstrap},
        "judge": {
            "name": judge_name(settings.measuring_judge),
            "of_training": judge_name(settings.judge),
            "rates": None if params.judge_rates is None else params.judge_rates.model_dump(),
        },
        "metrics": {},
        "counts": {},
        "completion_tokens": 0,
        "costs": {},
        BENCHMARKS: {},
    }
    tables: dict[str, pl.DataFrame] = {}
    if params.split is not None:
        measured = measure(choose_problems(problems, params), policy, settings, label)
        tables |= measured.tables
        report |= measured.report
    for name, chosen in benchmarks.items():
        measured = measure(chosen, policy, settings, f"{label} {name}")
        tables[f"{BENCHMARKS}/{name}/problems"] = chosen
        tables |= {f"{BENCHMARKS}/{name}/{place}": table for place, table in measured.tables.items()}
        report["completion_tokens"] += measured.report["completion_tokens"]
        costs = measured.report.pop("costs")
        report["costs"] |= {f"{name} {part}": cost for part, cost in costs.items()}
        examples = measured.report.pop("examples")
        report.setdefault("examples", examples)  # of the split, or of the first benchmark where there is no split
        report[BENCHMARKS][name] = {"origin": chosen["origin"][0], **measured.report}
    if verdicts is not None:
        report["judge"]["people"] = against_people(verdicts, tables, settings.resampling)
    return Evaluation(tables, report)


def _first(problems: pl.DataFrame, params: EvaluateParams) -> pl.DataFrame:
    ordered = problems.sort("problem_id")
    return ordered if params.problems is None else ordered.head(params.problems)


def _check_can_sample(policy: Policy, settings: Settings) -> None:
    """Refuse what has nothing to draw a solution from."""
    weights = policy.repo is not None or any(policy.folder.glob("*.safetensors"))
    if settings.recorded and weights:
        raise ValueError(
            "sample.engine: recorded solutions say nothing about a policy that has weights; name another engine"
        )
    if settings.recorded and not settings.evaluate.majority:
        raise ValueError("evaluate.majority: 0 takes none of the recorded solutions")
    if not settings.recorded and not weights:
        raise ValueError(
            f"{policy.folder}: this policy has no weights (seed_model.kind none), so it cannot be evaluated"
        )
