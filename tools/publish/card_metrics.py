"""The numbers of a card: counted from the published files and read from the stages' reports."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.report.drops import collect_drops
from stages.report.rounds_table import build_rounds_table
from stages.report.stage_reports import ROUND_STAGES, PolicyReports, StageReports, get_count, get_number, get_value
from tools.publish.exported_round import ExportedRound, hide_folders

_JUDGE_COUNTS = {"steps", "labels", "drops", "judge", "checks"}
"""Keys of the judge's report that are no metric of the judge."""


def scan_labels(folder: Path) -> pl.LazyFrame:
    """A round's published files in format `labels`."""
    return pl.scan_parquet(folder / "*.parquet")


def count_by_source(labels: pl.LazyFrame) -> list[dict[str, Any]]:
    """Per source: problems, samples, kept rows, and labels of both levels."""
    label = pl.element().struct.field("label")
    steps = {"steps_correct": label, "steps_incorrect": ~label, "steps_unknown": label.is_null()}
    counts = {
        name: pl.col("steps").list.eval(is_counted.cast(pl.Int64)).list.sum() for name, is_counted in steps.items()
    }
    return (
        labels.select("source", "problem_id", "is_correct", "row", **counts)
        .group_by("source")
        .agg(
            problems=pl.col("problem_id").n_unique(),
            samples=pl.len(),
            kept=pl.col("row").count(),
            correct=pl.col("is_correct").sum(),
            incorrect=(~pl.col("is_correct")).sum(),
            unknown=pl.col("is_correct").null_count(),
            **{name: pl.col(name).sum() for name in counts},
        )
        .sort("source")
        .collect()
        .to_dicts()
    )


def describe_order(exported: ExportedRound) -> dict[str, int]:
    """The blocks of the training order: how many rows in each, how many blocks, and what these hold."""
    size = exported.dataset.kl_block_size
    blocks = exported.rows.group_by(pl.col("row") // size).agg(
        has_both=pl.col("label").any() & ~pl.col("label").all(),
        repeats=pl.col("problem_id").is_duplicated().any(),
    )
    return {
        "size": size,
        "blocks": blocks.height,
        "with_both_labels": int(blocks["has_both"].sum()),
        "with_a_problem_twice": int(blocks["repeats"].sum()),
    }


def list_origins(labels: pl.LazyFrame) -> list[tuple[str, str]]:
    """Pairs of (origin, source)."""
    frame = labels.select("origin", "source").unique().sort("origin", "source").collect()
    return [(str(origin), str(source)) for origin, source in frame.iter_rows()]


def measure_agreement(labels: pl.LazyFrame) -> dict[str, Any]:
    """Votes per step, the mean agreement of known steps, and the hashes of the judges."""
    step = pl.col("steps").struct
    is_known = step.field("label").is_not_null()
    frame = labels.select("steps").explode("steps").select(
        num_votes=step.field("num_votes").max(),
        mean_agreement=step.field("agreement").filter(is_known).mean(),
        judges=step.field("judge").unique().sort().implode(),
    )  # fmt: skip
    return frame.collect().to_dicts()[0]


def select_examples(labels: pl.LazyFrame, limit: int = 2) -> list[dict[str, Any]]:
    """The first samples by id with a correct answer and an incorrect step, otherwise the first of all."""
    columns = ("problem", "completion", "gold_answer", "final_answer", "is_correct", "steps")
    contradicting = labels.filter(pl.col("is_correct") & pl.col("first_error").is_not_null())
    for candidates in (contradicting, labels):
        rows = candidates.sort("sample_id").head(limit).select(columns).collect().to_dicts()
        if rows:
            return rows
    return []


def list_judge_metrics(model: PolicyReports) -> list[tuple[str, str]]:
    """The judge's report beyond its counts: calibration, agreement with human labels, and any other metric."""
    report = model.reports.get("judge", {})
    return list(iterate_leaves({key: value for key, value in report.items() if key not in _JUDGE_COUNTS}))


def describe_checks(model: PolicyReports) -> list[str] | None:
    """What the checks of the judge found, a sentence each; None if it was not checked."""
    found = get_value(model.reports, "judge", "checks", "found")
    return [str(text) for text in found] if isinstance(found, list) else None


def iterate_leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The values in a nested report or block of params with their names; no lists, and no paths of this machine."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from iterate_leaves(value[key], f"{name} {key}".strip())
    elif isinstance(value, bool | int | str):
        yield name, hide_folders(str(value))
    elif isinstance(value, float):
        yield name, f"{value:.4g}"


def list_rounds(sources: StageReports) -> dict[str, Any]:
    """The report's table of rounds, and the names of its columns of majority votes: ``maj_at_8``."""
    rows = build_rounds_table(sources.policies)
    names = [name for name in rows[0] if name.startswith("maj_at_") and name.count("_") == 2]
    return {"rounds": rows, "majorities": names}


def list_drops(sources: StageReports) -> list[dict[str, Any]]:
    """Reasons for which rows were dropped, with their number over all rounds."""
    return [{"stage": drop.stage, "reason": drop.reason, "rows": drop.num_rows} for drop in collect_drops(sources)]


def count_labels(model: PolicyReports) -> list[dict[str, Any]]:
    """Correct, incorrect and unknown labels at both levels, before and after selection."""
    labels = get_value(model.reports, "dataset", "labels")
    return [
        {
            "level": level,
            "when": when,
            **{name: get_count(labels, when, level, name) for name in ("correct", "incorrect", "unknown")},
        }
        for level in ("outcome", "step")
        for when in ("before", "after")
    ]


def list_costs(sources: StageReports) -> list[dict[str, Any]]:
    """Tokens per model and stage, where the stage's report has them."""
    counts = {
        (model.name, stage): _count_tokens(stage, model.reports[stage])
        for model in sources.policies
        for stage in ("seed_model", *ROUND_STAGES)
        if stage in model.reports
    }
    return [{"model": model, "stage": stage, "tokens": tokens} for (model, stage), tokens in counts.items() if tokens]


def _count_tokens(stage: str, report: dict[str, Any]) -> float | None:
    """Tokens read and written by a model; in training, tokens seen."""
    if stage in ("train", "seed_model"):
        return get_number(report, "tokens_seen") or get_number(report, "tokens")
    known = [
        tokens for name in ("prompt_tokens", "completion_tokens") if (tokens := get_number(report, name)) is not None
    ]
    return sum(known) if known else None
