"""The settings block turned into a trainer: Step-KTO, KTO or RFT, with the same budget for all three."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common.params.runtime import RuntimeParams
from stages.common.params.train import TrainParams
from stages.common.tables import DropLog, seed_from
from stages.train.lora import adapters, keep_float32
from stages.train.shards import keep_precision, trainer_arguments
from stages.train.source import Source, read_rows

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

LOG_EVERY = 10
"""Optimiser steps between logs, at most."""


@dataclass(frozen=True)
class Prepared:
    """A trainer ready to run, and the rows that it reads."""

    trainer: Trainer
    rows: Dataset
    drops: DropLog


def pick_device(runtime: RuntimeParams) -> str:
    """``cpu`` or ``cuda``; raise `ValueError` when CUDA is asked for and not there."""
    import torch

    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("runtime.device: cuda is asked for and torch finds none")
    return "cuda" if runtime.device != "cpu" and torch.cuda.is_available() else "cpu"


def prepare(
    params: TrainParams,
    source: Source,
    model: Any,
    tokenizer: Any,
    seed: int,
    device: str,
    checkpoints: Path,
    reference: Path,
) -> Prepared:
    """Encode the rows that `params.method` trains on and build its trainer.

    Checkpoints go to the folder `checkpoints`, the reference's log-probs to the journal `reference`.

    ``step_kto`` reads step labels; ``kto`` is the same trainer with no step labelled, which is TRL's KTO; ``rft`` is
    TRL's SFT on the right rows, with loss on completions alone, in the data set's order and as often as it gives them.
    Raises `ValueError` for a package that the settings need and that is not installed.
    """
    from transformers import PrinterCallback

    from stages.train.checkpoints import MarkComplete
    from stages.train.guard import CollapseGuard
    from stages.train.table import encode_dataset

    steps = params.method == "step_kto"
    drops = DropLog()
    rows = encode_dataset(
        read_rows(source, steps=steps, right_only=params.method == "rft"),
        tokenizer,
        params.after_first_error if steps else "keep",
        params.max_length,
        drops,
    )
    if params.method != "rft" and source.block != params.batch:
        print(
            f"{source.folder}: its order is made for blocks of {source.block} rows and train.batch is {params.batch}; "
            "batches may lack a label",
            file=sys.stderr,
        )
    if params.tracker and importlib.util.find_spec(params.tracker) is None:
        raise ValueError(f"train.tracker: needs the package {params.tracker}: pip install {params.tracker}")
    if params.tracker == "tensorboard":  # beside the checkpoints, which are deleted in the end
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(checkpoints.with_suffix(".tensorboard")))
    shared = _shared_arguments(params, seed, device, checkpoints)
    callbacks = [MarkComplete()]
    if params.method == "rft":
        trainer = _rft(params, rows, model, tokenizer, shared, [*callbacks, CollapseGuard()])
    else:
        trainer = _step_kto(params, source, rows, model, tokenizer, shared, callbacks, reference)
    if params.lora and params.lora.quantise:
        keep_float32(trainer.model)
    trainer.remove_callback(PrinterCallback)  # the report holds the log
    return Prepared(trainer, rows, drops)


def _step_kto(
    params: TrainParams,
    source: Source,
    rows: Dataset,
    model: Any,
    tokenizer: Any,
    shared: dict[str, Any],
    callbacks: list[Any],
    reference: Path,
) -> Trainer:
    from stages.train.config import StepKTOConfig
    from stages.train.trainer import StepKTOTrainer

    weights = source.weights
    arguments = StepKTOConfig(
        **shared,
        max_length=params.max_length,
        beta=params.beta,
        w_step=params.w_step if params.method == "step_kto" else 0.0,
        after_first_error=params.after_first_error,
        mismatch_block=source.block,
        pass_rows=params.pass_rows,
        reference_journal=str(reference),
        desirable_weight=weights["outcome"]["desirable"],
        undesirable_weight=weights["outcome"]["undesirable"],
        step_desirable_weight=weights["step"]["desirable"],
        step_undesirable_weight=weights["step"]["undesirable"],
    )
    return StepKTOTrainer(
        model,
        arguments,
        rows,
        tokenizer,
        callbacks=callbacks,
        peft_config=adapters(params.lora) if params.lora else None,
    )


def _rft(
    params: TrainParams, rows: Dataset, model: Any, tokenizer: Any, shared: dict[str, Any], callbacks: list[Any]
) -> Trainer:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    def masked(row: dict[str, list[int]]) -> dict[str, list[int]]:
        prompt, completion = row["prompt_ids"], row["completion_ids"]
        return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}

    # Every row fits max_length already; without it TRL neither cuts nor drops any.
    arguments = SFTConfig(**shared, max_length=None, packing=False, train_sampling_strategy="sequential")
    trainer = SFTTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_list([masked(row) for row in rows]),
        processing_class=tokenizer,
        callbacks=callbacks,
        peft_config=adapters(params.lora) if params.lora else None,
    )
    if trainer.is_fsdp_enabled:
        keep_precision(trainer.accelerator)
    return trainer


def _shared_arguments(params: TrainParams, seed: int, device: str, checkpoints: Path) -> dict[str, Any]:
    return {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": params.batch,
        "gradient_accumulation_steps": params.accumulate,
        "num_train_epochs": params.epochs,
        "learning_rate": params.learning_rate,
        "warmup_steps": params.warmup_steps,
        "lr_scheduler_type": params.schedule,
        "max_grad_norm": params.max_grad_norm,
        "seed": seed_from("train", seed) % 2**32,
        "use_cpu": device == "cpu",
        "bf16": params.dtype == "bfloat16",
        "gradient_checkpointing": params.gradient_checkpointing,
        "dataloader_pin_memory": device != "cpu",
        "save_strategy": "steps",
        "save_steps": params.save_steps,
        "save_total_limit": 2,
        # A divisor of save_steps, so that no mean in the history straddles a restart.
        "logging_steps": math.gcd(params.save_steps, LOG_EVERY),
        "logging_nan_inf_filter": False,
        "report_to": params.tracker or "none",
        "disable_tqdm": not sys.stderr.isatty(),
        **trainer_arguments(device),
    }
