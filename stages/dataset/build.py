"""Joining samples, steps, labels and verdicts into KTO and Step-KTO rows with a manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.dataset.order import neighbours_of_one_problem, training_order
from stages.dataset.select import select
from stages.dataset.weights import class_weights
from stages.params.dataset import DatasetParams
from stages.params.sample import PromptParams
from stages.provenance import folder_files, manifest_hash
from stages.records import JUDGED, OUTCOME, PROBLEM, SAMPLE, STEP, DropLog, read_table, write_json
from stages.records.store import ROW_GROUP
from stages.sample import chat_messages, plain_prompt


@dataclass(frozen=True)
class Inputs:
    """Folders of one round's tables."""

    problems: Path
    samples: Path
    steps: Path
    judged: Path
    outcomes: Path


def build_dataset(
    inputs: Inputs, params: DatasetParams, prompt: PromptParams, seed: int, digits: int, folder: Path
) -> dict[str, Any]:
    """Write ``kto.parquet``, ``step_kto.parquet`` and ``manifest.json`` into `folder`; return the report.

    Both files hold the same rows in training order. `kto`: sample_id, problem_id, prompt, completion, label.
    `step_kto` adds ``steps``: a list of {start, end, label}, offsets in code points into the completion, label null
    where unknown. Raises `ValueError` when nothing is left, or when a table names a row that another lacks.
    """
    samples = read_table(inputs.samples, SAMPLE, digits).select("sample_id", "problem_id", "text")
    outcomes = read_table(inputs.outcomes, OUTCOME, digits).select("sample_id", label="value")
    problems = read_table(inputs.problems, PROBLEM, digits).select("problem_id", "problem")
    steps = read_table(inputs.steps, STEP, digits).select("sample_id", "step", "start", "end")
    judged = read_table(inputs.judged, JUDGED, digits).select("sample_id", "step", step_label="label")
    together = steps.join(judged, on=["sample_id", "step"], how="full", coalesce=True)
    if not together.height == steps.height == judged.height:
        raise ValueError(f"{inputs.judged}: its steps are not those of {inputs.steps}")
    labelled = samples.join(outcomes, on="sample_id", how="left")
    per_sample = (
        steps.join(judged, on=["sample_id", "step"], how="left")
        .sort("sample_id", "step")
        .group_by("sample_id", maintain_order=True)
        .agg(steps=pl.struct("start", "end", label="step_label"))
    )
    drops = DropLog()
    kept = select(labelled, params, seed, drops)
    if kept.is_empty():
        counts = {reason: entry["rows"] for reason, entry in drops.report().items()}
        raise ValueError(f"{inputs.samples}: no sample is left to train on; dropped {counts}")
    rows = kept.join(problems, on="problem_id", how="inner").join(per_sample, on="sample_id", how="inner")
    if rows.height != kept.height:
        raise ValueError(
            f"{kept.height - rows.height} samples have no problem or no steps in {inputs.problems}, {inputs.steps}"
        )
    rows = training_order(rows.sort("problem_id", "sample_id"), params.block, seed)
    rows = rows.with_columns(prompt=pl.Series([prompt_text(p, prompt) for p in rows["problem"]], dtype=pl.String))
    base = [pl.col("sample_id", "problem_id", "prompt"), pl.col("text").alias("completion"), pl.col("label")]
    _write(rows.select(base), folder / "kto.parquet")
    _write(rows.select(*base, "steps"), folder / "step_kto.parquet")

    before = _balance(labelled.join(per_sample, on="sample_id", how="left"))
    after = _balance(rows)
    files = folder_files(folder)
    manifest = {
        "format": "chat" if prompt.chat else "text",
        "rows": rows.height,
        "files": files,
        "hash": manifest_hash(files),
        "block": params.block,
        "labels": {"before": before, "after": after},
        "weights": {
            level: class_weights(after[level]["right"], after[level]["wrong"], params.max_weight)
            for level in ("outcome", "step")
        },
        "drops": {reason: entry["rows"] for reason, entry in drops.report().items()},
        "paired_with_own_problem": neighbours_of_one_problem(rows, params.block),
    }
    write_json(folder / "manifest.json", manifest)
    return {**manifest, "manifest": manifest["hash"], "drops": drops.report()}


def prompt_text(problem: str, params: PromptParams) -> str:
    """A row's prompt: the text, or the chat's messages as JSON."""
    return (
        json.dumps(chat_messages(problem, params), ensure_ascii=False) if params.chat else plain_prompt(problem, params)
    )


def _balance(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Counts of right, wrong and unknown labels at both levels."""
    step = rows["steps"].explode().drop_nulls()
    levels = {
        "outcome": rows["label"],
        "step": step.struct.field("label") if len(step) else pl.Series([], dtype=pl.Boolean),
    }
    return {
        level: {
            "right": int(labels.sum() or 0),
            "wrong": int((~labels).sum() or 0),
            "unknown": labels.null_count(),
        }
        for level, labels in levels.items()
    }


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)
