"""The params block turned into a trainer: Step-KTO, KTO, RFT or a method on pairs, with the same budget for all."""

import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback, Trainer

from stages.common.errors import UserError
from stages.common.params.train import PAIR_METHODS, TrainParams
from stages.common.tables import DropLog, seed_from
from stages.common.training.checkpoints import MarkCompleteCallback
from stages.common.training.supervised import make_supervised_trainer, make_trainer_args
from stages.train.build_pair_trainer import build_pair_trainer, encode_pair_rows
from stages.train.dataset_folder import DatasetFolder, read_rows
from stages.train.trainer.config import StepKTOConfig
from stages.train.trainer.divergence import DivergenceCallback
from stages.train.trainer.divergence_signs import DivergenceLimits
from stages.train.trainer.encoding import encode_dataset
from stages.train.trainer.last_update import RftTrainer
from stages.train.trainer.lora import cast_adapters_to_float32, make_lora_config
from stages.train.trainer.sharding import keep_float32_outputs, make_sharding_args
from stages.train.trainer.step_kto_trainer import StepKTOTrainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerSetup:
    """A trainer ready to run, the rows that it reads, and those left out."""

    trainer: Trainer
    rows: Dataset
    drops: DropLog


def build_trainer(
    params: TrainParams,
    dataset: DatasetFolder,
    model: Any,
    tokenizer: Any,
    seed: int,
    device: str,
    checkpoints: Path,
    reference_journal: Path,
    sampled_logps: Mapping[str, float] = {},
) -> TrainerSetup:
    """Encode the rows that `params.method` trains on and build its trainer.

    Checkpoints go to the folder `checkpoints`, the reference's log-probs to `reference_journal`; they are compared with
    the sampler's, `sampled_logps`. ``step_kto`` reads
    step labels; ``kto`` is the same trainer with no step labelled, which is TRL's KTO; ``rft`` is TRL's SFT on the
    correct rows, with loss on completions alone, in the data set's order; `PAIR_METHODS` are TRL's DPO or CPO
    trainer on pairs. Raises `UserError` for a package that the params need and that is not installed.
    """
    with_steps = params.method == "step_kto"
    drops = DropLog()
    if params.method in PAIR_METHODS:
        rows = encode_pair_rows(params, dataset, tokenizer, drops)
    else:
        rows = encode_dataset(
            read_rows(dataset, with_steps, only_correct=params.method == "rft"),
            tokenizer,
            params.after_first_error if with_steps else "keep",
            params.max_length,
            drops,
            sampled_logps,
        )
    if params.method in ("step_kto", "kto") and dataset.kl_block_size != params.batch_size:
        logger.warning(
            "%s: its order is made for blocks of %d rows and train.batch_size is %d; batches may lack a label",
            dataset.folder,
            dataset.kl_block_size,
            params.batch_size,
        )
    if params.report_to and importlib.util.find_spec(params.report_to) is None:
        raise UserError(f"train.report_to: needs the package {params.report_to}: pip install {params.report_to}")
    if params.report_to == "tensorboard":  # beside the checkpoints, which are deleted in the end
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(checkpoints.with_suffix(".tensorboard")))
    arguments = {
        **make_trainer_args(params, seed_from("train", seed), device, checkpoints),
        "report_to": params.report_to or "none",
        **make_sharding_args(device),
    }
    shared: dict[str, Any] = {
        "processing_class": tokenizer,
        "callbacks": [MarkCompleteCallback()],
        "peft_config": make_lora_config(params.lora) if params.lora else None,
    }
    trainer: Trainer
    if params.method == "rft":
        trainer = make_supervised_trainer(model, arguments, rows, RftTrainer, **shared)
        trainer.add_callback(DivergenceCallback(DivergenceLimits(nll_metric="loss"), trainer.compute_last_metrics))
        if trainer.is_fsdp_enabled:
            keep_float32_outputs(trainer.accelerator)
    elif params.method in PAIR_METHODS:
        trainer = build_pair_trainer(params, arguments, model, rows, shared)
    else:
        config = _make_step_kto_config(params, dataset, str(reference_journal), arguments)
        trainer = StepKTOTrainer(model, config, rows, **shared)
    if params.lora and params.lora.load_in_4bit:
        cast_adapters_to_float32(trainer.model)
    trainer.remove_callback(PrinterCallback)
    return TrainerSetup(trainer, rows, drops)


def _make_step_kto_config(
    params: TrainParams, dataset: DatasetFolder, reference_journal: str, arguments: dict[str, Any]
) -> StepKTOConfig:
    outcome, step = dataset.weights["outcome"], dataset.weights["step"]
    loss_names = (
        "step_beta",
        "normalize_by_length",
        "nll_weight",
        "nll_on",
        "z_clamp",
        "z_momentum",
        "max_displacement",
    )
    return StepKTOConfig(
        **arguments,
        **{name: getattr(params, name) for name in loss_names},
        max_length=params.max_length,
        beta=params.beta,
        w_step=params.w_step if params.method == "step_kto" else 0.0,
        after_first_error=params.after_first_error,
        kl_block_size=dataset.kl_block_size,
        micro_batch_size=params.micro_batch_size,
        packing=params.packing,
        reference_journal=reference_journal,
        desirable_weight=outcome["desirable"],
        undesirable_weight=outcome["undesirable"],
        step_desirable_weight=step["desirable"],
        step_undesirable_weight=step["undesirable"],
    )
