"""Batches: TRL's tensors for KTO with the step of each token, and the columns that are added to make whole batches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from torch.nn.utils.rnn import pad_sequence
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from stages.train.trainer.loss import NO_STEP, UNKNOWN

REFERENCE_COLUMNS = ("ref_step_logps", "ref_KL_step_logps")
"""Columns of the reference's log-probs by step."""

STEP_COLUMNS = (
    *("is_filler", "outcome_known", "step_of_token", "KL_step_of_token", "step_labels"),
    *REFERENCE_COLUMNS,
)
"""Columns of the encoded data set that TRL's KTO trainer does not know."""


@dataclass
class StepCollator(DataCollatorForUnpairedPreference):
    """TRL's batch plus, in the shapes of `stages.train.trainer.loss`:

    - ``step_of_token`` and ``KL_step_of_token`` [B, T], parallel to the input ids, `NO_STEP` on prompt and padding;
    - ``step_labels`` [B, S], `UNKNOWN` on padding; ``KL_steps`` [B, S], True on each step of the mismatched completion;
    - ``outcome_known`` [B]; ``is_filler`` [B], True on rows that only fill up the last batch;
    - ``ref_step_logps`` and ``ref_KL_step_logps`` [B, S] once they are computed.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Batch encoded rows."""
        batch = super().torch_call(examples)
        batch["outcome_known"] = torch.tensor([example["outcome_known"] for example in examples])
        batch["is_filler"] = torch.tensor([example.get("is_filler", False) for example in examples])
        batch["step_labels"] = _pad([example["step_labels"] for example in examples], UNKNOWN, torch.int64)
        for prefix in ("", "KL_"):
            steps = [[NO_STEP] * len(e["prompt_ids"]) + e[f"{prefix}step_of_token"] for e in examples]
            padded = _pad(steps, NO_STEP, torch.int64)
            missing = batch[f"{prefix}input_ids"].shape[1] - padded.shape[1]  # pad_to_multiple_of
            batch[f"{prefix}step_of_token"] = torch.nn.functional.pad(padded, (0, missing), value=NO_STEP)
        masks = [[True] * (example["KL_step_of_token"][-1] + 1) for example in examples]
        batch["KL_steps"] = _pad(masks, False, torch.bool)
        for key in REFERENCE_COLUMNS:
            if key in examples[0]:
                batch[key] = _pad([example[key] for example in examples], 0.0, torch.float32)
        return batch


def _pad(rows: list[list[Any]], value: float, dtype: torch.dtype) -> torch.Tensor:
    return pad_sequence([torch.tensor(row, dtype=dtype) for row in rows], batch_first=True, padding_value=value)


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
