"""The first pass over a round: shard by shard what is kept becomes rows, and everything is counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from stages.common.console import progress
from stages.common.params.dataset import DatasetParams
from stages.common.params.sample import PromptParams
from stages.common.prompt import make_prompt
from stages.common.tables import DropLog
from stages.dataset.label_quality import LabelQuality
from stages.dataset.round_tables import RoundShard, RoundTables, read_round_shard
from stages.dataset.sample_selection import select_samples

LEVELS = ("outcome", "step")


@dataclass
class LabelCounts:
    """Counts of right, wrong and unknown labels at both levels."""

    counts: Counter[tuple[str, bool | None]] = field(default_factory=Counter)

    def add(self, outcomes: pl.Series, steps: pl.Series) -> None:
        for level, labels in zip(LEVELS, (outcomes, steps), strict=True):
            for label, count in labels.value_counts().iter_rows():
                self.counts[level, label] += count

    def add_rows(self, rows: pl.DataFrame) -> None:
        """Count the labels of rows of `build_rows`."""
        steps = rows["steps"].list.explode(empty_as_null=False, keep_nulls=False)
        self.add(rows["label"], steps.struct.field("label"))

    def report(self) -> dict[str, dict[str, int]]:
        names = {"correct": True, "incorrect": False, "unknown": None}
        return {level: {name: self.counts[level, label] for name, label in names.items()} for level in LEVELS}


@dataclass
class JoinedRound:
    """What the first pass leaves: files of rows, in each a shard's by problem and sample id, and what was counted.

    `keys` has a row for each of them, in their order: problem_id, a number here since a million of them are held at
    once, and label.
    """

    files: list[Path] = field(default_factory=list)
    keys: pl.DataFrame = field(default_factory=pl.DataFrame)
    before: LabelCounts = field(default_factory=LabelCounts)
    after: LabelCounts = field(default_factory=LabelCounts)
    drops: DropLog = field(default_factory=DropLog)
    quality: LabelQuality = field(default_factory=LabelQuality)


def join_round(
    inputs: RoundTables, shards: list[str], params: DatasetParams, prompt: PromptParams, seed: int, folder: Path
) -> JoinedRound:
    """Select from every shard and write its rows into `folder`.

    Rows: sample_id, problem_id, prompt, completion, label, and steps, a list of {start, end, label}. Raises
    `ValueError` when nothing is left, or when a table names a row that another lacks.
    """
    found = JoinedRound()
    keys, problems = [], 0
    for shard in progress(shards, "select", unit="shards"):
        labelled = read_round_shard(inputs, shard)
        found.quality.add(labelled)
        found.before.add(labelled.samples["label"], labelled.steps["label"])
        kept = select_samples(labelled.samples, params, seed, found.drops)
        rows = build_rows(kept, labelled, prompt)
        if rows.height != kept.height:
            missing = kept.height - rows.height
            raise ValueError(f"{missing} samples have no problem or no steps in {inputs.problems}, {inputs.steps}")
        if rows.is_empty():
            continue
        found.after.add_rows(rows)
        found.files.append(folder / f"{shard}.arrow")
        rows.write_ipc(found.files[-1])
        numbers = rows.select((pl.col("problem_id").rle_id().cast(pl.Int32) + problems), "label")
        problems = numbers["problem_id"][-1] + 1
        keys.append(numbers)
    if not keys:
        counts = {reason: entry["rows"] for reason, entry in found.drops.report().items()}
        raise ValueError(f"{inputs.samples}: no sample is left to train on; dropped {counts}")
    found.keys = pl.concat(keys, rechunk=True)
    return found


def format_prompt(problem: str, params: PromptParams) -> str:
    """A row's prompt: the text, or the chat's messages as JSON."""
    prompt = make_prompt(problem, params)
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)


def build_rows(kept: pl.DataFrame, labelled: RoundShard, prompt: PromptParams) -> pl.DataFrame:
    """The rows of `kept` that have a problem and steps, sorted by problem and sample id."""
    steps = labelled.steps.join(kept.select("sample_id"), on="sample_id", how="semi", maintain_order="left")
    per_sample = steps.group_by("sample_id", maintain_order=True).agg(steps=pl.struct("start", "end", "label"))
    problems = labelled.problems.join(kept.select("problem_id"), on="problem_id", how="semi")
    prompts = pl.Series("prompt", [format_prompt(problem, prompt) for problem in problems["problem"]], dtype=pl.String)
    return (
        kept.join(problems.select("problem_id", prompts), on="problem_id", how="inner")
        .join(per_sample, on="sample_id", how="inner")
        .select("sample_id", "problem_id", "prompt", "completion", label="label", steps="steps")
        .sort("problem_id", "sample_id")
    )
