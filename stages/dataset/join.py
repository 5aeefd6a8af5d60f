"""The first pass over a round: shard by shard, selected samples become rows, and everything is counted."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.params.dataset import CutRule, DatasetParams
from stages.common.params.sample import PromptParams
from stages.common.progress import progress
from stages.common.prompt import make_prompt
from stages.dataset.label_quality import LabelQuality
from stages.dataset.pairs import RoundPairs
from stages.dataset.retractions import check_steps_exist, read_retractions, retract_labels
from stages.dataset.round_tables import SAMPLED, RoundShard, RoundTables, read_round_shard
from stages.select import keep_selected

LEVELS = ("outcome", "step")

CUT = "cut by length"
"""Drop reason of samples that reached the token limit."""

_IS_CUT = pl.col("finish_reason") == "length"


@dataclass
class LabelCounts:
    """Counts of correct, incorrect and unknown labels at both levels."""

    counts: Counter[tuple[str, bool | None]] = field(default_factory=Counter)

    def add(self, outcomes: pl.Series, steps: pl.Series) -> None:
        """Count the labels (True, False or null) of some samples and of their steps."""
        for level, labels in zip(LEVELS, (outcomes, steps), strict=True):
            for label, count in labels.value_counts().iter_rows():
                self.counts[level, label] += count

    def add_rows(self, rows: pl.DataFrame) -> None:
        """Count the labels of rows of `build_rows`."""
        steps = rows["steps"].list.explode(empty_as_null=False, keep_nulls=False)
        self.add(rows["label"], steps.struct.field("label"))

    def report(self) -> dict[str, dict[str, int]]:
        """``{"outcome" or "step": {"correct", "incorrect", "unknown"}}``."""
        names = {"correct": True, "incorrect": False, "unknown": None}
        return {level: {name: self.counts[level, label] for name, label in names.items()} for level in LEVELS}


@dataclass
class JoinedRound:
    """The rows of a round in files, one per shard, sorted by problem and sample id, and what was counted.

    `keys` has a row for each row of the files, in their order: problem_id (renumbered from 0, since a million of them
    are held at once) and label.
    """

    files: list[Path] = field(default_factory=list)
    keys: pl.DataFrame = field(default_factory=pl.DataFrame)
    before: LabelCounts = field(default_factory=LabelCounts)
    after: LabelCounts = field(default_factory=LabelCounts)
    drops: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    """Selected samples that reached the token limit: `completions`, and of them `with_correct_answer`."""
    quality: LabelQuality = field(default_factory=LabelQuality)
    pairs: RoundPairs = field(default_factory=RoundPairs)
    retracted: Counter[str] = field(default_factory=Counter)
    """Known labels of steps that count as unknown since they were found wrong, by reason."""


def join_round(
    tables: RoundTables, shards: list[str], prompt: PromptParams, params: DatasetParams, folder: Path
) -> JoinedRound:
    """Write the rows of the selected samples of every shard into `folder`, and pair them.

    Rows: sample_id, problem_id, prompt, label, `SAMPLED`, and steps, a list of {start, end, label}. Raises `UserError`
    if no row is left, if a table names a row that another lacks, or for a list of retractions that cannot be used.
    """
    joined = JoinedRound()
    retractions = read_retractions(params.retracted)
    keys, num_problems = [], 0
    for name in progress(shards, "join", unit="shards"):
        given = read_round_shard(tables, name)
        check_steps_exist(given, retractions, params.retracted)
        shard, reasons = retract_labels(given, retractions)
        joined.retracted.update(reasons)
        joined.quality.add(shard)
        joined.before.add(shard.samples["label"], shard.steps["label"])
        joined.drops.update(shard.selection["drop_reason"].drop_nulls())
        selected = keep_selected(shard.samples, shard.selection)
        is_cut = selected.filter(_IS_CUT)
        joined.cut.update(completions=is_cut.height, with_correct_answer=int(is_cut["label"].sum()))
        joined.drops.update({CUT: is_cut.height} if params.cut == "drop" and is_cut.height else {})
        selected = apply_cut_rule(selected, params.cut)
        rows = build_rows(selected, shard, prompt)
        if rows.height != selected.height:
            num_missing = selected.height - rows.height
            raise UserError(f"{num_missing} samples have no problem or no steps in {tables.problems}, {tables.steps}")
        if rows.is_empty():
            continue
        joined.after.add_rows(rows)
        joined.pairs.add(rows, params.max_pairs_per_problem)
        joined.files.append(folder / f"{name}.arrow")
        rows.write_ipc(joined.files[-1])
        keys.append(rows.select((pl.col("problem_id").rle_id().cast(pl.Int32) + num_problems), "label"))
        num_problems = keys[-1]["problem_id"][-1] + 1
    if not keys:
        raise UserError(f"{tables.samples}: no sample is left to train on; dropped {dict(joined.drops)}")
    joined.keys = pl.concat(keys, rechunk=True)
    return joined


def apply_cut_rule(selected: pl.DataFrame, rule: CutRule) -> pl.DataFrame:
    """The `selected` samples with what `rule` makes of those that reached the token limit.

    Such a completion has not answered, and is incorrect even where an answer was read in it; see `DatasetParams.cut`.
    """
    if rule == "drop":
        return selected.filter(~_IS_CUT)
    label = pl.lit(False if rule == "keep" else None, pl.Boolean)
    return selected.with_columns(label=pl.when(_IS_CUT).then(label).otherwise("label"))


def format_prompt(problem: str, params: PromptParams) -> str:
    """A row's prompt: the text, or the chat's messages as JSON."""
    prompt = make_prompt(problem, params)
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)


def build_rows(selected: pl.DataFrame, shard: RoundShard, prompt: PromptParams) -> pl.DataFrame:
    """The rows of `selected` that have a problem and steps, sorted by problem and sample id."""
    steps = shard.steps.join(selected.select("sample_id"), on="sample_id", how="semi", maintain_order="left")
    per_sample = steps.group_by("sample_id", maintain_order=True).agg(steps=pl.struct("start", "end", "label"))
    problems = shard.problems.join(selected.select("problem_id"), on="problem_id", how="semi")
    prompts = pl.Series("prompt", [format_prompt(text, prompt) for text in problems["problem"]], dtype=pl.String)
    return (
        selected.join(problems.select("problem_id", prompts), on="problem_id", how="inner")
        .join(per_sample, on="sample_id", how="inner")
        .select("sample_id", "problem_id", "prompt", "label", *SAMPLED, "steps")
        .sort("problem_id", "sample_id")
    )
