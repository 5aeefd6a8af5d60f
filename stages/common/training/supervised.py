"""Arguments of trainers, and the supervised one: TRL's SFT with the loss on completions alone, in the order of rows."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

SAME_NAMES = (
    *("gradient_accumulation_steps", "learning_rate", "warmup_steps", "lr_scheduler_type", "max_grad_norm"),
    *("gradient_checkpointing", "save_steps"),
)
"""Params that have the names of the trainer's arguments."""


def make_trainer_args(params: Any, seed: int, device: str, checkpoints: Path) -> dict[str, Any]:
    """Arguments of a trainer of transformers for params of a training, `TrainParams` or `SupervisedParams`."""
    return {
        **{name: getattr(params, name) for name in SAME_NAMES},
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": params.batch_size,
        "num_train_epochs": params.num_epochs,
        "seed": seed % 2**32,
        "use_cpu": device == "cpu",
        "bf16": params.dtype == "bfloat16",
        "dataloader_pin_memory": device != "cpu",
        "save_strategy": "steps",
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


def make_supervised_trainer(
    model: Any,
    arguments: dict[str, Any],
    rows: Iterable[Mapping[str, list[int]]],
    trainer_class: type[SFTTrainer] = SFTTrainer,
    **options: Any,
) -> SFTTrainer:
    """A trainer on `rows` of prompt_ids and completion_ids; `options` are those of SFTTrainer."""
    # Rows are of the length that they shall have; without max_length TRL neither cuts nor drops any.
    config = SFTConfig(**arguments, max_length=None, packing=False, train_sampling_strategy="sequential")
    dataset = Dataset.from_list([_mask_prompt(row["prompt_ids"], row["completion_ids"]) for row in rows])
    return trainer_class(model, config, train_dataset=dataset, **options)


def _mask_prompt(prompt: list[int], completion: list[int]) -> dict[str, list[int]]:
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}
