"""A round's dataset recomputed: the selected samples, in which order, what their rows hold, and their pairs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.judge import JudgeScope
from stages.common.policies import MANIFEST
from stages.common.tables import content_hash
from stages.dataset import (
    CUT,
    PAIR_SCHEMAS,
    SAMPLED,
    LabelCounts,
    RoundPairs,
    RoundShard,
    apply_cut_rule,
    build_rows,
    describe_dataset,
    order_for_training,
    read_retractions,
    retract_labels,
)
from stages.select import keep_selected
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, UNREADABLE
from tools.audit.table_sets import DatasetSelection, TableSet, read_json
from tools.audit.verify.row_checks import RangeRows
from tools.audit.verify.row_comparison import add_unreadable

SPAN = pl.Struct({"start": pl.Int32, "end": pl.Int32, "label": pl.Boolean})
COLUMNS: dict[str, dict[str, Any]] = {
    "kto.parquet": {
        **dict.fromkeys(["sample_id", "problem_id", "prompt", "completion"], pl.String),
        "label": pl.Boolean,
        "finish_reason": pl.String,
        "completion_ids": pl.List(pl.Int32),
        "tokenizer": pl.String,
    },
}
COLUMNS["step_kto.parquet"] = {**COLUMNS["kto.parquet"], "steps": pl.List(SPAN)}
"""The files of a dataset and their columns."""

_KEPT = {"problem_id": pl.String, "sample_id": pl.String, "label": pl.Boolean} | dict.fromkeys(COLUMNS, pl.UInt64)


@dataclass
class SelectedRows:
    """What a dataset should hold."""

    kept: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_KEPT))
    """problem_id, sample_id, label, and the digest of the row in each file."""
    drops: Counter[str] = field(default_factory=Counter)
    before: LabelCounts = field(default_factory=LabelCounts)
    after: LabelCounts = field(default_factory=LabelCounts)
    pairs: RoundPairs = field(default_factory=RoundPairs)
    retracted: Counter[str] = field(default_factory=Counter)

    def merge(self, other: SelectedRows) -> None:
        """Add another range's selection."""
        self.kept = pl.concat([self.kept, other.kept])
        self.drops += other.drops
        self.before.counts += other.before.counts
        self.after.counts += other.after.counts
        self.pairs.merge(other.pairs)
        self.retracted += other.retracted


def select_rows(root: Path, selection: DatasetSelection, scope: JudgeScope, rows: RangeRows) -> SelectedRows | None:
    """The rows of the selected samples among `rows`; None where one of their tables could not be read.

    Raises `UserError` where the list of retracted labels cannot be used.
    """
    if rows.problems is None or rows.samples is None or rows.steps is None:
        return None
    if rows.labels is None or rows.outcomes is None or rows.selection is None:
        return None
    verdicts = rows.outcomes.select(*SAMPLE_KEY, label="is_correct")
    steps = rows.steps.join(rows.samples, on=SAMPLE_KEY, how="semi")  # check "steps" names orphans
    shard = RoundShard(
        rows.problems.select("problem_id", "source", "problem"),
        rows.samples.select(*SAMPLE_KEY, *SAMPLED).join(verdicts, on=SAMPLE_KEY, how="left"),
        rows.selection,
        steps.join(rows.labels.select(*STEP_KEY, "label"), on=STEP_KEY, how="left").sort(STEP_KEY),
        scope,
    )
    path = selection.params.retracted
    shard, reasons = retract_labels(shard, read_retractions(path and root / path))
    kept = keep_selected(shard.samples, shard.selection)
    trained = apply_cut_rule(kept, selection.params.cut)
    built = build_rows(trained, shard, selection.prompt)
    digests = [
        pl.Series(name, hash_rows(built.select(list(columns))), dtype=pl.UInt64) for name, columns in COLUMNS.items()
    ]
    selected = SelectedRows(
        built.select("problem_id", "sample_id", "label").with_columns(*digests),
        Counter(rows.selection["drop_reason"].drop_nulls()) + Counter({CUT: kept.height - trained.height}),
    )
    selected.retracted = reasons
    selected.before.add(shard.samples["label"], shard.steps["label"])
    selected.after.add_rows(built)
    selected.pairs.add(built, selection.params.max_pairs_per_problem)
    return selected


def hash_rows(frame: pl.DataFrame) -> list[int]:
    """64 bits of each row's hash, to compare rows without holding them."""
    return [int(content_hash(row, digits=16), 16) for row in frame.iter_rows()]


def hash_file_rows(results: CheckResults, root: Path, path: Path, offset: int, length: int) -> pl.DataFrame | None:
    """`sample_id` and `digest` of `length` rows of a dataset's file from row `offset`; None where it is unreadable."""
    columns = COLUMNS[path.name]
    try:
        frame = pl.scan_parquet(root / path).slice(offset, length).collect()
    except UNREADABLE as error:
        add_unreadable(results, path, error)
        return None
    if dict(frame.schema) != columns:
        if offset == 0:
            results.add_error("tables", str(path), f"columns are {dict(frame.schema)}, expected {columns}")
        return None
    return frame.select("sample_id", digest=pl.Series(hash_rows(frame), dtype=pl.UInt64))


def check_dataset(
    results: CheckResults, root: Path, tables: TableSet, selected: SelectedRows, files: dict[str, pl.DataFrame]
) -> None:
    """Compare a dataset's files (`sample_id`, `digest` per row, in order) and manifest with what is selected."""
    selection = tables.selection
    assert selection is not None
    ordered = order_for_training(selected.kept.sort(SAMPLE_KEY), selection.params.kl_block_size, selection.seed)
    for name, rows in files.items():
        path = f"{selection.folder}/{name}"
        _check_members(results, path, ordered, rows)
        _check_content(results, path, ordered.select("sample_id", expected=name), rows)
    for name in PAIR_SCHEMAS:
        _check_pairs(results, root, selection.folder / name, selected.pairs.order(name))
    manifest = read_json(root / selection.folder / MANIFEST)
    if "selection" in results and manifest:
        results.count("selection", 1)
        expected = describe_dataset(
            ordered,
            selected.before,
            selected.after,
            dict(selected.drops),
            selection.params,
            selection.prompt,
            selected.retracted,
        )
        for key, value in {**expected, "pairs": selected.pairs.report()}.items():
            if manifest.get(key) != value:
                what = f"{key} is {manifest.get(key)!r}; the rows give {value!r}"
                results.add_error("selection", str(selection.folder / MANIFEST), what)


def _check_members(results: CheckResults, path: str, ordered: pl.DataFrame, rows: pl.DataFrame) -> None:
    results.count("selection", rows.height)
    numbered = rows.with_row_index("row")
    for sample, row in numbered.filter(pl.col("sample_id").is_duplicated()).select("sample_id", "row").iter_rows():
        results.add_error("selection", f"{path}: row {row}, sample {sample}", "is there more than once")
    for sample, row in numbered.join(ordered, on="sample_id", how="anti").select("sample_id", "row").iter_rows():
        results.add_error("selection", f"{path}: row {row}, sample {sample}", "should not be; the selection drops it")
    missing = ordered.join(rows, on="sample_id", how="anti")
    for sample, problem in missing.select("sample_id", "problem_id").iter_rows():
        results.add_error(
            "selection", f"{path}: sample {sample} of problem {problem}", "is missing; the selection keeps it"
        )
    if set(rows["sample_id"]) == set(ordered["sample_id"]) and rows.height == ordered.height:
        for row, (actual, expected) in enumerate(zip(rows["sample_id"], ordered["sample_id"], strict=True)):
            if actual != expected:
                what = f"is sample {actual}; the seed's order gives {expected}"
                results.add_error("selection", f"{path}: row {row}", what)


def _check_content(results: CheckResults, path: str, ordered: pl.DataFrame, rows: pl.DataFrame) -> None:
    results.count("kto", rows.height)
    both = rows.with_row_index("row").join(ordered, on="sample_id", how="inner", maintain_order="left")
    for row, sample in both.filter(pl.col("digest") != pl.col("expected")).select("row", "sample_id").iter_rows():
        what = "is not what problem, completion, spans, labels and verdict give"
        results.add_error("kto", f"{path}: row {row}, sample {sample}", what)


def _check_pairs(results: CheckResults, root: Path, path: Path, expected: pl.DataFrame) -> None:
    try:
        pairs = pl.read_parquet(root / path)
    except UNREADABLE as error:
        add_unreadable(results, path, error)
        return
    if pairs.schema != expected.schema:
        results.add_error("tables", str(path), f"columns are {dict(pairs.schema)}, expected {dict(expected.schema)}")
        return
    results.count("selection", pairs.height)
    if pairs.height != expected.height:
        results.add_error("selection", str(path), f"has {pairs.height} pairs; the labels give {expected.height}")
    for row, (actual, by_labels) in enumerate(zip(pairs.iter_rows(), expected.iter_rows(), strict=False)):
        if actual != by_labels:
            results.add_error("selection", f"{path}: row {row}", f"is the pair {actual}; the labels give {by_labels}")
