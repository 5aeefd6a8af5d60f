"""A round's data set made again: which samples the rule keeps, in which order, and what their rows hold."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.policies import MANIFEST
from stages.common.tables import DropLog, content_hash
from stages.dataset import (
    compute_class_weights,
    count_same_problem_pairs,
    format_prompt,
    order_for_training,
    select_samples,
)
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, UNREADABLE
from tools.audit.table_sets import Selection, TableSet
from tools.audit.verify.row_checks import Rows

SPAN = pl.Struct({"start": pl.Int32, "end": pl.Int32, "label": pl.Boolean})
COLUMNS: dict[str, dict[str, Any]] = {
    "kto.parquet": dict.fromkeys(["sample_id", "problem_id", "prompt", "completion"], pl.String)
    | {"label": pl.Boolean},
}
COLUMNS["step_kto.parquet"] = {**COLUMNS["kto.parquet"], "steps": pl.List(SPAN)}
"""The files of a data set and their columns."""

_KEPT = {"problem_id": pl.String, "sample_id": pl.String, "label": pl.Boolean} | dict.fromkeys(COLUMNS, pl.UInt64)


@dataclass
class Selected:
    """What should be in a data set: `kept` with a digest of each file's row, and counts for its manifest."""

    kept: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_KEPT))
    drops: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Counts by (before or after, outcome or step, right, wrong or unknown)."""

    def add(self, other: Selected) -> None:
        """Add another range's selection."""
        self.kept = pl.concat([self.kept, other.kept])
        self.drops += other.drops
        self.labels += other.labels


def select_rows(selection: Selection, rows: Rows) -> Selected | None:
    """The selection among `rows`, whole problems; None where a table of theirs could not be read."""
    if rows.problems is None or rows.samples is None or rows.steps is None:
        return None
    if rows.judged is None or rows.outcomes is None:
        return None
    labelled = rows.samples.select("sample_id", "problem_id", "completion").join(
        rows.outcomes.select(*SAMPLE_KEY, label="is_correct"), on=SAMPLE_KEY, how="left"
    )
    spans = (
        rows.steps.join(rows.judged.select(*STEP_KEY, "label"), on=STEP_KEY, how="left")
        .sort(STEP_KEY)
        .group_by(SAMPLE_KEY, maintain_order=True)
        .agg(steps=pl.struct("start", "end", "label"))
    )
    drops = DropLog()
    kept = select_samples(labelled, selection.params, selection.seed, drops)
    joined = kept.join(rows.problems.select("problem_id", "problem"), on="problem_id").join(spans, on=SAMPLE_KEY)
    joined = joined.select(
        "sample_id",
        "problem_id",
        pl.Series("prompt", [format_prompt(text, selection.prompt) for text in joined["problem"]], dtype=pl.String),
        "completion",
        label="label",
        steps="steps",
    )
    labels = Counter[tuple[str, str, str]]()
    for state, frame in (("before", labelled.join(spans, on=SAMPLE_KEY, how="left")), ("after", joined)):
        steps = frame.select(pl.col("steps").list.explode(empty_as_null=False, keep_nulls=False)).to_series()
        for level, series in (("outcome", frame["label"]), ("step", steps.struct.field("label"))):
            for value, count in series.value_counts().iter_rows():
                labels[state, level, {True: "correct", False: "incorrect", None: "unknown"}[value]] += count
    digests = {name: row_digests(joined.select(list(columns))) for name, columns in COLUMNS.items()}
    return Selected(
        joined.select("problem_id", "sample_id", "label").with_columns(
            pl.Series(name, values, dtype=pl.UInt64) for name, values in digests.items()
        ),
        Counter({reason: entry["rows"] for reason, entry in drops.report().items()}),
        labels,
    )


def row_digests(frame: pl.DataFrame) -> list[int]:
    """64 bits of each row's hash, to compare rows without holding them."""
    return [int(content_hash(row, digits=16), 16) for row in frame.iter_rows()]


def digest_file(findings: CheckResults, root: Path, path: Path, offset: int, length: int) -> pl.DataFrame | None:
    """`sample_id` and `digest` of `length` rows of a data set's file from row `offset`; None where it is unreadable."""
    columns = COLUMNS[path.name]
    try:
        frame = pl.scan_parquet(root / path).slice(offset, length).collect()
    except UNREADABLE as error:
        findings.fault("tables", str(path), f"unreadable: {' '.join(str(error).split())}")
        return None
    if dict(frame.schema) != columns:
        if offset == 0:
            findings.fault("tables", str(path), f"columns are {dict(frame.schema)}, should be {columns}")
        return None
    return frame.select("sample_id", digest=pl.Series(row_digests(frame), dtype=pl.UInt64))


def check_data_set(
    findings: CheckResults, root: Path, part: TableSet, selected: Selected, found: dict[str, pl.DataFrame]
) -> None:
    """Compare a data set's files (`sample_id`, `digest` per row, in order) and manifest with what was selected."""
    selection = part.selection
    assert selection is not None
    kept = selected.kept.sort(SAMPLE_KEY)
    ordered = order_for_training(kept, selection.params.kl_block_size, selection.seed)
    for name, rows in found.items():
        path = f"{selection.folder}/{name}"
        _check_members(findings, path, ordered, rows)
        _check_content(findings, path, ordered.select("sample_id", due=name), rows)
    if "selection" in findings:
        _check_manifest(findings, root, part, selected, ordered)


def _check_members(findings: CheckResults, path: str, ordered: pl.DataFrame, rows: pl.DataFrame) -> None:
    findings.seen("selection", rows.height)
    where = rows.with_row_index("row")
    for sample, row in where.filter(pl.col("sample_id").is_duplicated()).select("sample_id", "row").iter_rows():
        findings.fault("selection", f"{path}: row {row}, sample {sample}", "is there more than once")
    for sample, row in where.join(ordered, on="sample_id", how="anti").select("sample_id", "row").iter_rows():
        findings.fault("selection", f"{path}: row {row}, sample {sample}", "should not be; the rule drops it")
    missing = ordered.join(rows, on="sample_id", how="anti")
    for sample, problem in missing.select("sample_id", "problem_id").iter_rows():
        findings.fault("selection", f"{path}: sample {sample} of problem {problem}", "is missing; the rule keeps it")
    if set(rows["sample_id"]) == set(ordered["sample_id"]) and rows.height == ordered.height:
        for row, (is_, due) in enumerate(zip(rows["sample_id"], ordered["sample_id"], strict=True)):
            if is_ != due:
                findings.fault("selection", f"{path}: row {row}", f"is sample {is_}; the seed's order gives {due}")


def _check_content(findings: CheckResults, path: str, ordered: pl.DataFrame, rows: pl.DataFrame) -> None:
    findings.seen("kto", rows.height)
    both = rows.with_row_index("row").join(ordered, on="sample_id", how="inner", maintain_order="left")
    for row, sample in both.filter(pl.col("digest") != pl.col("due")).select("row", "sample_id").iter_rows():
        what = "is not what problem, text, spans, labels and verdict give"
        findings.fault("kto", f"{path}: row {row}, sample {sample}", what)


def _check_manifest(
    findings: CheckResults, root: Path, part: TableSet, selected: Selected, ordered: pl.DataFrame
) -> None:
    selection = part.selection
    assert selection is not None
    path = selection.folder / MANIFEST
    findings.seen("selection", 1)
    try:
        manifest = json.loads((root / path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # check_manifest of check "manifests" has said so
    labels = {
        state: {
            level: {value: selected.labels[state, level, value] for value in ("correct", "incorrect", "unknown")}
            for level in ("outcome", "step")
        }
        for state in ("before", "after")
    }
    after, cap = labels["after"], selection.params.max_weight
    expected = {
        "format": "chat" if selection.prompt.chat else "text",
        "rows": ordered.height,
        "kl_block_size": selection.params.kl_block_size,
        "labels": labels,
        "weights": {
            level: compute_class_weights(counts["correct"], counts["incorrect"], cap) for level, counts in after.items()
        },
        "drops": dict(selected.drops),
        "paired_with_own_problem": count_same_problem_pairs(ordered, selection.params.kl_block_size),
    }
    for key, due in expected.items():
        if manifest.get(key) != due:
            findings.fault("selection", str(path), f"{key} is {manifest.get(key)!r}; the rows give {due!r}")
