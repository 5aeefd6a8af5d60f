"""The files of a data set: KTO and Step-KTO rows and pairs of them in training order, and their manifest."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.common.params.dataset import DatasetParams
from stages.common.params.sample import PromptParams
from stages.common.progress import progress
from stages.common.provenance import hash_folder, hash_manifest
from stages.common.tables import list_shards, write_json
from stages.dataset.external_sort import POSITION, ExternalSort
from stages.dataset.join import LabelCounts, join_round
from stages.dataset.label_balance import check_label_counts, compute_class_weights, list_balance_warnings
from stages.dataset.round_tables import RoundTables
from stages.dataset.training_order import count_same_problem_pairs, order_for_training

logger = logging.getLogger(__name__)

KTO = ("sample_id", "problem_id", "prompt", "completion", "label", "finish_reason", "completion_ids", "tokenizer")
STEP_KTO = (*KTO, "steps")


def build_dataset(
    tables: RoundTables, params: DatasetParams, prompt: PromptParams, seed: int, digits: int, folder: Path
) -> dict[str, Any]:
    """Write the files of rows and pairs and ``manifest.json`` into `folder`; return the report.

    ``kto.parquet`` and ``step_kto.parquet`` hold the same rows in training order: sample_id, problem_id, prompt,
    completion, label (null where the outcome is unknown), and finish_reason, completion_ids and tokenizer as in SAMPLE;
    the latter also ``steps``, a list of {start, end, label}, offsets in code points into the completion, label null
    where unknown. ``pairs.parquet`` and ``step_pairs.parquet`` (`RoundPairs`) name such rows. All are written whatever
    method trains on them, so that another method makes no dataset stale. Rows are sorted on disk, so that memory holds
    one shard, a few numbers per row and the ids of pairs. Raises `UserError` if no row is left, if a label is
    rarer than `params.min_per_label`, or if a table names a row that another lacks.
    """
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.rows.", dir=folder.parent) as temporary:
        joined = join_round(tables, list_shards(digits), prompt, params, Path(temporary))
        check_label_counts(joined.after.report(), params.min_per_label, str(tables.samples))
        ordered = order_for_training(joined.keys.with_row_index("row"), params.kl_block_size, seed)
        positions = np.empty(ordered.height, dtype=np.int64)
        positions[ordered["row"].to_numpy()] = np.arange(ordered.height)
        _write_files(joined.files, pl.Series(POSITION, positions), Path(temporary), folder)
    joined.pairs.write(folder)
    files = hash_folder(folder)
    description = describe_dataset(
        ordered, joined.before, joined.after, dict(joined.drops), params, prompt, joined.retracted
    )
    manifest = {**description, "pairs": joined.pairs.report(), "files": files, "hash": hash_manifest(files)}
    write_json(folder / "manifest.json", manifest)
    for warning in description["warnings"]:
        logger.warning("%s", warning)
    # What was dropped, with examples, is in the report of stage select.
    report = {key: value for key, value in manifest.items() if key != "drops"}
    return {
        **report,
        "manifest": manifest["hash"],
        "scope": tables.scope,
        "cut": dict(joined.cut),
        "quality": joined.quality.report(),
    }


def describe_dataset(
    ordered: pl.DataFrame,
    before: LabelCounts,
    after: LabelCounts,
    drops: dict[str, int],
    params: DatasetParams,
    prompt: PromptParams,
    retracted: dict[str, int],
) -> dict[str, Any]:
    """The manifest without files and hash. `ordered`: problem_id and label of all rows in training order."""
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
        "warnings": list_balance_warnings(labels["after"], params.max_weight),
        "drops": dict(sorted(drops.items())),
        "paired_with_own_problem": count_same_problem_pairs(ordered, params.kl_block_size),
        **({} if params.retracted is None else {"retracted": dict(sorted(retracted.items()))}),
    }


def _write_files(files: list[Path], positions: pl.Series, temporary: Path, folder: Path) -> None:
    """Write the rows of `files` in the order of `positions`, one for each row, and delete `files`."""
    num_read = 0
    with ExternalSort(temporary) as external_sort:
        for path in progress(files, "write", unit="shards"):
            rows = pl.read_ipc(path)
            external_sort.add(rows.with_columns(positions[num_read : num_read + rows.height]))
            num_read += rows.height
            path.unlink()
    external_sort.write({folder / "kto.parquet": KTO, folder / "step_kto.parquet": STEP_KTO})
