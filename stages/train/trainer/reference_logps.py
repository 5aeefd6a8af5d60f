"""Log-probs of the reference, which is the policy before training: computed once for given rows and kept by content."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list
from datasets import Dataset
from pydantic import TypeAdapter, ValidationError
from torch.utils.data import DataLoader

from stages.common.errors import UserError
from stages.common.journal import Journal
from stages.common.progress import progress
from stages.train.trainer.config import StepKTOConfig
from stages.train.trainer.sharding import reshard
from stages.train.trainer.step_logps import PassLayout, compute_step_logps_without_grad

KEY_COLUMNS = ("prompt_ids", "completion_ids", "step_of_token", "KL_completion_ids", "KL_step_of_token")
"""What a row's log-probs depend on, beside the model and the rows that it shares a batch with."""

StepLogps = dict[str, list[list[float]]]
"""For each prefix ("" own, "KL_" mismatched) the log-probs of every row's steps, in nats."""

_STEP_LOGPS = TypeAdapter(StepLogps)


def load_or_compute_reference_logps(
    dataset: Dataset,
    group_size: int,
    model_key: str,
    compute: Callable[[Dataset], Iterator[StepLogps]],
    journal_path: Path | None,
    accelerator: Accelerator,
) -> StepLogps:
    """Reference log-probs of all rows of `dataset`, from the journal where it has them.

    Rows go through the reference in groups of `group_size` consecutive ones; `compute` does so for a data set, group by
    group. A group is kept under the hash of its rows' tokens and of `model_key`, which names everything else that
    decides the numbers: weights, precision, device. Other params (beta, learning rate, weights) are not part of it, so
    a run that changes only those finds everything. Only the main process opens the journal, and sends what it finds to
    the others. `journal_path` None keeps nothing.
    """
    starts = range(0, len(dataset), group_size)
    keys = [_hash_rows(dataset[start : start + group_size], model_key) for start in starts]
    with Journal(journal_path) if accelerator.is_main_process and journal_path else contextlib.nullcontext() as journal:
        kept: dict[str, StepLogps] = {}
        if journal is not None:
            groups = (dataset[start : start + group_size] for start in starts)
            values = [journal.find(key, partial(_has_form, rows)) for key, rows in zip(keys, groups, strict=True)]
            kept = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        found: dict[str, StepLogps] = broadcast_object_list([kept])[0]
        missing = [(key, start) for key, start in zip(keys, starts, strict=True) if key not in found]
        if missing:
            rows = [at for _, start in missing for at in range(start, min(start + group_size, len(dataset)))]
            for (key, _), sums in zip(missing, compute(dataset.select(rows)), strict=True):
                found[key] = sums
                if journal is not None:
                    journal.put({key: sums})
    return {prefix: [row for key in keys for row in found[key][prefix]] for prefix in ("", "KL_")}


def describe_numerics(accelerator: Accelerator, model: Any, args: StepKTOConfig) -> str:
    """What besides weights and rows decides the last bits of a forward pass, as part of a journal key."""
    parts = (accelerator.mixed_precision, accelerator.device.type, model.config._attn_implementation)
    passes = (args.pad_to_multiple_of, args.micro_batch_size, accelerator.num_processes)
    is_sharded = accelerator.is_fsdp2 or accelerator.distributed_type == DistributedType.DEEPSPEED
    shards = (accelerator.distributed_type,) if is_sharded else ()
    return " ".join(map(str, (*parts, *passes, *shards, torch.__version__)))


def compute_reference_logps(
    dataset: Dataset, desc: str, loader_args: dict[str, Any], model: Any, layout: PassLayout, accelerator: Accelerator
) -> Iterator[StepLogps]:
    """The log-probs of `dataset` under `model`, group by group: a batch of every process.

    `desc` is the progress bar's title; `loader_args` go to the data loader; `layout` is that of forward passes.
    Raises `UserError` where a log-prob is not finite.
    """
    loader = accelerator.prepare(DataLoader(dataset, shuffle=False, **loader_args))
    num_done = 0
    for batch in progress(loader, desc, total=len(loader), unit="batches"):
        group: StepLogps = {}
        for prefix in ("", "KL_"):
            # FSDP casts weights itself, in training as well.
            with contextlib.nullcontext() if accelerator.is_fsdp2 else accelerator.autocast():
                sums = compute_step_logps_without_grad(model, batch, prefix, layout)
            if not bool(torch.isfinite(sums).all()):
                raise UserError(f"{desc}: not finite; check the model's weights")
            all_sums = accelerator.gather_for_metrics(accelerator.pad_across_processes(sums, dim=1))
            steps_of_rows = dataset[num_done : num_done + len(all_sums)][f"{prefix}step_of_token"]
            group[prefix] = [
                row[: steps[-1] + 1] for row, steps in zip(all_sums.float().tolist(), steps_of_rows, strict=True)
            ]
        num_done += len(group[""])
        yield group
    if accelerator.is_fsdp2:
        reshard(model)


def _has_form(rows: dict[str, list[list[int]]], value: Any) -> bool:
    """Whether `value` has a log-prob for each step of each of `rows`, own and mismatched."""
    try:
        logps = _STEP_LOGPS.validate_python(value, strict=True)
    except ValidationError:
        return False
    return all(
        list(map(len, logps.get(prefix, []))) == [steps[-1] + 1 for steps in rows[f"{prefix}step_of_token"]]
        for prefix in ("", "KL_")
    )


def _hash_rows(rows: dict[str, list[list[int]]], model_key: str) -> str:
    digest = hashlib.sha256(f"reference log-probs\n{model_key}\n".encode())
    for column in KEY_COLUMNS:
        for row in rows[column]:
            digest.update(len(row).to_bytes(8, "little"))
            digest.update(np.asarray(row, dtype="<i4").tobytes())
    return digest.hexdigest()
