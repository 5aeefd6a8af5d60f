"""Joining samples, steps, labels and verdicts into KTO and Step-KTO rows with a manifest."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from stages.console import progress
from stages.dataset.labelled import Inputs, Labelled, read_labelled
from stages.dataset.order import neighbours_of_one_problem, training_order
from stages.dataset.place import PLACE, Placer
from stages.dataset.quality import Quality
from stages.dataset.select import select
from stages.dataset.weights import class_weights
from stages.params.dataset import DatasetParams
from stages.params.sample import PromptParams
from stages.provenance import folder_files, manifest_hash
from stages.records import DropLog, shard_names, write_json
from stages.sample import chat_messages, plain_prompt

KTO = ("sample_id", "problem_id", "prompt", "completion", "label")
STEP_KTO = (*KTO, "steps")
LEVELS = ("outcome", "step")


def build_dataset(
    inputs: Inputs, params: DatasetParams, prompt: PromptParams, seed: int, digits: int, folder: Path
) -> dict[str, Any]:
    """Write ``kto.parquet``, ``step_kto.parquet`` and ``manifest.json`` into `folder`; return the report.

    Both files hold the same rows in training order. `kto`: sample_id, problem_id, prompt, completion, label.
    `step_kto` adds ``steps``: a list of {start, end, label}, offsets in code points into the completion, label null
    where unknown. Two passes over the shards keep one of them in memory: the first selects, the second writes. Raises
    `ValueError` when nothing is left, or when a table names a row that another lacks.
    """
    shards = shard_names(digits)
    drops, quality, before = DropLog(), Quality(), _Balance()
    parts = []
    for number, shard in enumerate(progress(shards, "select", unit="shards")):
        labelled = read_labelled(inputs, shard)
        quality.add(labelled)
        before.add(labelled.samples["label"], labelled.steps["label"])
        kept = select(labelled.samples, params, seed, drops)
        parts.append(kept.sort("problem_id", "sample_id").select("sample_id", "problem_id", "label", shard=number))
    chosen = pl.concat(parts)
    if chosen.is_empty():
        counts = {reason: entry["rows"] for reason, entry in drops.report().items()}
        raise ValueError(f"{inputs.samples}: no sample is left to train on; dropped {counts}")
    chosen = training_order(chosen, params.block, seed)
    after = _write_rows(inputs, chosen.with_row_index(PLACE), prompt, shards, folder)
    files = folder_files(folder)
    manifest = {
        "format": "chat" if prompt.chat else "text",
        "rows": chosen.height,
        "files": files,
        "hash": manifest_hash(files),
        "block": params.block,
        "labels": {"before": before.report(), "after": after.report()},
        "weights": {
            level: class_weights(after.counts[level, True], after.counts[level, False], params.max_weight)
            for level in LEVELS
        },
        "drops": {reason: entry["rows"] for reason, entry in drops.report().items()},
        "paired_with_own_problem": neighbours_of_one_problem(chosen, params.block),
    }
    write_json(folder / "manifest.json", manifest)
    return {**manifest, "manifest": manifest["hash"], "drops": drops.report(), "quality": quality.report()}


def prompt_text(problem: str, params: PromptParams) -> str:
    """A row's prompt: the text, or the chat's messages as JSON."""
    return (
        json.dumps(chat_messages(problem, params), ensure_ascii=False) if params.chat else plain_prompt(problem, params)
    )


class _Balance:
    """Counts of right, wrong and unknown labels at both levels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, bool | None]] = Counter()

    def add(self, outcomes: pl.Series, steps: pl.Series) -> None:
        for level, labels in zip(LEVELS, (outcomes, steps), strict=True):
            for label, count in labels.value_counts().iter_rows():
                self.counts[level, label] += count

    def report(self) -> dict[str, dict[str, int]]:
        names = {"right": True, "wrong": False, "unknown": None}
        return {level: {name: self.counts[level, label] for name, label in names.items()} for level in LEVELS}


def _write_rows(
    inputs: Inputs, chosen: pl.DataFrame, prompt: PromptParams, shards: list[str], folder: Path
) -> _Balance:
    """Write the rows of `chosen` (sample_id, label, shard's number, `PLACE`) in its order; returns their labels."""
    balance = _Balance()
    chosen_of = {part["shard"][0]: part.drop("shard") for part in chosen.partition_by("shard")}
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.rows.", dir=folder.parent) as waiting:
        with Placer(Path(waiting)) as placer:
            written = 0
            for number in progress(sorted(chosen_of), "write", unit="shards"):
                rows, steps = _rows(read_labelled(inputs, shards[number]), chosen_of[number], prompt)
                balance.add(rows["label"], steps)
                placer.add(rows.select(*STEP_KTO, PLACE))
                written += rows.height
        if written != chosen.height:
            raise ValueError(
                f"{chosen.height - written} samples have no problem or no steps in {inputs.problems}, {inputs.steps}"
            )
        placer.write({folder / "kto.parquet": KTO, folder / "step_kto.parquet": STEP_KTO})
    return balance


def _rows(labelled: Labelled, chosen: pl.DataFrame, prompt: PromptParams) -> tuple[pl.DataFrame, pl.Series]:
    """The shard's chosen samples with the columns of `STEP_KTO` and `PLACE`, and the labels of their steps."""
    texts = labelled.samples.select("sample_id", completion="text")
    kept = labelled.steps.join(chosen.select("sample_id"), on="sample_id", how="semi", maintain_order="left")
    per_sample = kept.group_by("sample_id", maintain_order=True).agg(steps=pl.struct("start", "end", "label"))
    problems = labelled.problems.join(chosen.select("problem_id"), on="problem_id", how="semi")
    prompts = pl.Series("prompt", [prompt_text(problem, prompt) for problem in problems["problem"]], dtype=pl.String)
    rows = (
        chosen.join(texts, on="sample_id", how="inner")
        .join(problems.select("problem_id", prompts), on="problem_id", how="inner")
        .join(per_sample, on="sample_id", how="inner")
    )
    return rows, kept["label"]
