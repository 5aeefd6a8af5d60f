"""From one round's tables to KTO and Step-KTO rows with a manifest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.common.console import progress
from stages.common.params.dataset import DatasetParams
from stages.common.params.sample import PromptParams
from stages.common.provenance import hash_folder, hash_manifest
from stages.common.tables import shard_names, write_json
from stages.dataset.class_weights import compute_class_weights
from stages.dataset.external_sort import POSITION, ExternalSort
from stages.dataset.join import LabelCounts, join_round
from stages.dataset.round_tables import RoundTables
from stages.dataset.training_order import count_same_problem_pairs, order_for_training

KTO = ("sample_id", "problem_id", "prompt", "completion", "label")
STEP_KTO = (*KTO, "steps")


def build_dataset(
    inputs: RoundTables, params: DatasetParams, prompt: PromptParams, seed: int, digits: int, folder: Path
) -> dict[str, Any]:
    """Write ``kto.parquet``, ``step_kto.parquet`` and ``manifest.json`` into `folder`; return the report.

    Both files hold the same rows in training order. `kto`: sample_id, problem_id, prompt, completion, label.
    `step_kto` adds ``steps``: a list of {start, end, label}, offsets in code points into the completion, label null
    where unknown. Rows wait on disk for their place, so that memory holds one shard and a few numbers per row. Raises
    `ValueError` when nothing is left, or when a table names a row that another lacks.
    """
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.rows.", dir=folder.parent) as waiting:
        found = join_round(inputs, shard_names(digits), params, prompt, seed, Path(waiting))
        ordered = order_for_training(found.keys.with_row_index("row"), params.kl_block_size, seed)
        places = np.empty(ordered.height, dtype=np.int64)
        places[ordered["row"].to_numpy()] = np.arange(ordered.height)
        _write(found.files, pl.Series(POSITION, places), Path(waiting), folder)
    files = hash_folder(folder)
    drops = {reason: entry["rows"] for reason, entry in found.drops.report().items()}
    description = describe_dataset(ordered, found.before, found.after, drops, params, prompt)
    manifest = {**description, "files": files, "hash": hash_manifest(files)}
    write_json(folder / "manifest.json", manifest)
    report = {**manifest, "manifest": manifest["hash"]}
    return {**report, "drops": found.drops.report(), "quality": found.quality.report()}


def describe_dataset(
    ordered: pl.DataFrame,
    before: LabelCounts,
    after: LabelCounts,
    drops: dict[str, int],
    params: DatasetParams,
    prompt: PromptParams,
) -> dict[str, Any]:
    """What the manifest says besides files and hash. `ordered`: problem_id and label of all rows in training order."""
    labels = {"before": before.report(), "after": after.report()}
    return {
        "format": "chat" if prompt.chat else "text",
        "rows": ordered.height,
        "kl_block_size": params.kl_block_size,
        "labels": labels,
        "weights": {
            level: compute_class_weights(counts["correct"], counts["incorrect"], params.max_weight)
            for level, counts in labels["after"].items()
        },
        "drops": drops,
        "paired_with_own_problem": count_same_problem_pairs(ordered, params.kl_block_size),
    }


def _write(files: list[Path], places: pl.Series, waiting: Path, folder: Path) -> None:
    """Write the rows of `files` by their `places`, one for each row in order, and delete what was read."""
    done = 0
    with ExternalSort(waiting) as external:
        for path in progress(files, "write", unit="shards"):
            rows = pl.read_ipc(path)
            external.add(rows.with_columns(places[done : done + rows.height]))
            done += rows.height
            path.unlink()
    external.write({folder / "kto.parquet": KTO, folder / "step_kto.parquet": STEP_KTO})
