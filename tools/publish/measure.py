"""What the card says in figures: counted from the published files and read from the stages' reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.report.drops import collect_drops
from stages.report.sources import Model, Sources, at, count, number
from stages.report.table import rounds_table

STAGES = ("sample", "split", "judge", "outcome", "dataset", "train", "evaluate")

_JUDGE_KNOWN = {"seconds", "steps", "labels", "environment", "drops", "judge"}


def count_labels(labels: Path) -> list[dict[str, Any]]:
    """Per source: problems, samples, kept rows, and labels of both levels, from a round's published `labels` files."""
    step = pl.element().struct.field("label")
    counted = {"steps_right": step, "steps_wrong": ~step, "steps_unknown": step.is_null()}
    frame = (
        pl.scan_parquet(labels / "*.parquet")
        .select(
            "source",
            "problem_id",
            "outcome",
            "row",
            *(pl.col("steps").list.eval(what.cast(pl.Int64)).list.sum().alias(name) for name, what in counted.items()),
        )
        .group_by("source")
        .agg(
            problems=pl.col("problem_id").n_unique(),
            samples=pl.len(),
            kept=pl.col("row").count(),
            right=pl.col("outcome").sum(),
            wrong=(~pl.col("outcome")).sum(),
            unknown=pl.col("outcome").null_count(),
            **{name: pl.col(name).sum() for name in counted},
        )
        .sort("source")
        .collect()
    )
    return frame.to_dicts()


def origins_of(labels: Path) -> list[tuple[str, str]]:
    """Pairs of (origin, source) in a round's published `labels` files."""
    frame = pl.scan_parquet(labels / "*.parquet").select("origin", "source").unique().sort("origin", "source").collect()
    return [(str(origin), str(source)) for origin, source in frame.iter_rows()]


def agreement(labels: Path) -> dict[str, Any]:
    """Votes asked per step, the mean agreement of known steps, and which judges spoke."""
    frame = (
        pl.scan_parquet(labels / "*.parquet")
        .select("steps")
        .explode("steps")
        .unnest("steps")
        .select(
            votes=pl.col("num_votes").max(),
            mean=pl.col("agreement").filter(pl.col("label").is_not_null()).mean(),
            judges=pl.col("judge").unique().sort().implode(),
        )
        .collect()
    )
    return frame.to_dicts()[0]


def examples(labels: Path, limit: int = 2) -> list[dict[str, Any]]:
    """What labels look like: the first samples by id with a right answer and a wrong step, else the first of all."""
    frame = pl.scan_parquet(labels / "*.parquet").select(
        "sample_id", "problem", "completion", "gold_answer", "final_answer", "outcome", "first_error", "steps"
    )
    telling = frame.filter(pl.col("outcome") & pl.col("first_error").is_not_null())
    for part in (telling, frame):
        rows = part.sort("sample_id").head(limit).collect().to_dicts()
        if rows:
            return rows
    return []


def judge_figures(model: Model) -> list[tuple[str, str]]:
    """What the judge's report says beyond its counts: calibration, agreement with people, whatever it measured."""
    report = model.reports.get("judge", {})
    return list(_leaves({key: value for key, value in report.items() if key not in _JUDGE_KNOWN}))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _leaves(value[key], f"{name} {key}".strip())
    elif isinstance(value, bool | int | str):
        yield name, str(value)
    elif isinstance(value, float):
        yield name, f"{value:.4g}"


def rounds(sources: Sources) -> list[dict[str, Any]]:
    """The report's table of rounds."""
    return rounds_table(sources.models)


def majority_columns(rows: list[dict[str, Any]]) -> list[str]:
    """Names of the majority votes' columns: ``maj_at_8``."""
    return [name for name in rows[0] if name.startswith("maj_at_") and name.count("_") == 2]


def drops(sources: Sources) -> list[dict[str, Any]]:
    """Reasons for which rows were dropped, with their number over all rounds."""
    return [{"stage": drop.stage, "reason": drop.reason, "rows": drop.rows} for drop in collect_drops(sources)]


def balance(model: Model) -> list[dict[str, Any]]:
    """Right, wrong and unknown labels at both levels, before and after selection."""
    labels = at(model.reports, "dataset", "labels")
    return [
        {
            "level": level,
            "when": when,
            **{name: count(labels, when, level, name) for name in ("correct", "incorrect", "unknown")},
        }
        for level in ("outcome", "step")
        for when in ("before", "after")
    ]


def costs(sources: Sources) -> list[dict[str, Any]]:
    """Seconds and tokens per stage and model, where its report tells them."""
    rows = [{"model": "–", "stage": "problems", "seconds": number(sources.problems, "seconds"), "tokens": None}]
    for model in sources.models:
        for stage in ("seed_model", *STAGES):
            seconds = number(model.reports, stage, "seconds")
            if seconds is not None:
                tokens = _tokens(stage, model.reports[stage])
                rows.append({"model": model.name, "stage": stage, "seconds": seconds, "tokens": tokens})
    return [row for row in rows if row["seconds"] is not None]


def _tokens(stage: str, report: dict[str, Any]) -> float | None:
    """Tokens read and written by models: by sampling and judging, prompts too; by training, each time one is seen."""
    if stage in ("train", "seed_model"):
        return number(report, "tokens_seen") or number(report, "tokens")
    parts = [number(report, name) for name in ("prompt_tokens", "completion_tokens")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def environments(sources: Sources) -> list[dict[str, Any]]:
    """The distinct machines and versions on which stages ran."""
    reports = [sources.problems, *(report for model in sources.models for report in model.reports.values())]
    found: list[dict[str, Any]] = []
    for report in reports:
        value = report.get("environment")
        if isinstance(value, dict) and value not in found:
            found.append(value)
    return found
