"""Columns added to the encoded data set: mismatched completions, and filler rows for several processes."""

from __future__ import annotations

import numpy as np
from datasets import Dataset, concatenate_datasets

from stages.train.trainer.loss import UNKNOWN


def add_mismatched_completions(dataset: Dataset, block_size: int) -> Dataset:
    """Add each row's mismatched completion: that of the row before it; the first row of a block takes the last's.

    Columns KL_completion_ids and KL_step_of_token. Blocks are `block_size` consecutive rows (the last one may be
    shorter), as in TRL, so that the mismatched completions of a batch are its own.
    """
    at = np.arange(len(dataset))
    first = at - at % block_size
    size = np.minimum(block_size, len(dataset) - first)
    before = first + (at - first - 1) % size
    table = dataset.with_format("arrow")[:].take(before)
    names = {"completion_ids": "KL_completion_ids", "step_of_token": "KL_step_of_token"}
    return concatenate_datasets([dataset, Dataset(table.select(list(names)).rename_columns(names))], axis=1)


def add_filler_rows(dataset: Dataset, multiple: int) -> Dataset:
    """Add a column ``is_filler``, and rows where it is True until `multiple` divides the number of rows.

    Filler rows repeat the last row without labels, and neither they nor their mismatched completions are counted: every
    process gets batches of one length, and the last loss is that of the real rows alone. (accelerate would repeat real
    rows, which would then count twice.)
    """
    real = len(dataset)
    missing = -real % multiple
    if missing:
        last = dataset.select([real - 1] * missing).map(
            lambda row: {"step_labels": [UNKNOWN] * len(row["step_labels"]), "outcome_known": False},
            features=dataset.features,
        )
        dataset = concatenate_datasets([dataset, last])
    return dataset.add_column("is_filler", [False] * real + [True] * missing)
