"""Rows through the reference policy: it is the policy itself, before training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import DistributedType
from torch.utils.data import DataLoader

from stages.common.console import progress
from stages.train.forward import step_logps_in_parts
from stages.train.reference import Sums
from stages.train.shards import let_go

if TYPE_CHECKING:
    from accelerate import Accelerator
    from datasets import Dataset

    from stages.train.config import StepKTOConfig


def numerics(accelerator: Accelerator, model: Any, args: StepKTOConfig) -> str:
    """What besides weights and rows decides the last bits of a forward pass, in words that name a result."""
    parts = (accelerator.mixed_precision, accelerator.device.type, model.config._attn_implementation)
    passes = (args.pad_to_multiple_of, args.pass_rows, accelerator.num_processes)
    in_shards = accelerator.is_fsdp2 or accelerator.distributed_type == DistributedType.DEEPSPEED
    shards = (accelerator.distributed_type,) if in_shards else ()
    return " ".join(map(str, (*parts, *passes, *shards, torch.__version__)))


def score(
    dataset: Dataset, what: str, batches: dict[str, Any], model: Any, rows: int | None, accelerator: Accelerator
) -> Iterator[Sums]:
    """The log-probs of `dataset` under `model`, one group of rows (a batch of every process) after the other.

    `what` names them to the user; `batches` are arguments of the data loader; `rows` limits a forward pass. Raises
    `ValueError` where a log-prob is not finite.
    """
    loader = accelerator.prepare(DataLoader(dataset, shuffle=False, **batches))
    done = 0
    for batch in progress(loader, what, total=len(loader), unit="batches"):
        group: Sums = {}
        for prefix in ("", "KL_"):
            # FSDP casts weights itself, in training as well.
            with contextlib.nullcontext() if accelerator.is_fsdp2 else accelerator.autocast():
                sums = step_logps_in_parts(model, batch, prefix, rows)
            if not bool(torch.isfinite(sums).all()):
                raise ValueError(f"{what}: not finite; the model's weights are unfit")
            everyones = accelerator.gather_for_metrics(accelerator.pad_across_processes(sums, dim=1))
            steps_of_rows = dataset[done : done + len(everyones)][f"{prefix}step_of_token"]
            group[prefix] = [
                row[: steps[-1] + 1] for row, steps in zip(everyones.float().tolist(), steps_of_rows, strict=True)
            ]
        done += len(group[""])
        yield group
    if accelerator.is_fsdp2:
        let_go(model)
