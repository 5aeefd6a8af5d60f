"""Weights in shards, by FSDP2 or DeepSpeed ZeRO 3: what training needs beyond what accelerate sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common.policies import Policy
from stages.common.tables import replace_dir

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator, PartialState
    from transformers import Trainer

PATIENCE = timedelta(hours=2)
"""How long processes wait for one of them, as while the first fetches a policy and writes it out: libraries wait for 10
to 30 minutes."""


def join_processes(device: str) -> PartialState:
    """Join the processes that were launched, if any, and return accelerate's view of them."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    processes = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    if device == "cpu" and _asked_for("FSDP"):
        # accelerate shards only what it takes for GPUs, and PyTorch on CPU as well.
        processes.distributed_type = DistributedType.MULTI_GPU
    return processes


def in_shards() -> bool:
    """Whether the launcher asked for weights in shards: a model is then mapped to memory and sharded from there."""
    return _asked_for("FSDP") or _asked_for("DEEPSPEED")


def mapped(policy: Policy, folder: Path, processes: PartialState) -> Policy:
    """`policy` with weights in float32 files: its own, or copies that the first process writes to `folder`.

    Weights of the type that they are kept in are mapped from their files, into memory that a machine's processes share;
    converting them would cost each process all of it.
    """
    from torch import float32
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(policy.source, revision=policy.revision, trust_remote_code=False)
    if config.dtype == float32:
        return policy
    with processes.main_process_first():
        if not folder.exists():
            with replace_dir(folder) as place:
                policy.model().save_pretrained(place)
    return replace(policy, folder=folder, repo=None, revision=None)


def trainer_arguments(device: str) -> dict[str, Any]:
    """Training arguments for weights in shards; none where they are whole."""
    if not _asked_for("FSDP"):
        return {}
    # Gradients that wait for those of other passes would be whole in every process.
    config: dict[str, Any] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    if device == "cpu":
        config["use_configured_state"] = True  # that of `join_processes`
    return {"accelerator_config": config}


def keep_precision(accelerator: Accelerator) -> None:
    """Under FSDP2 in bfloat16, reduce gradients and hand on a model's outputs in float32.

    accelerate casts both down: log-probs would keep three digits, and sums of them be off by tenths of a nat.
    """
    from torch import bfloat16, float32
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if accelerator.mixed_precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=bfloat16, reduce_dtype=float32)
        accelerator.state.fsdp_plugin.mixed_precision_policy = policy


def shard(model: Any, accelerator: Accelerator) -> Any:
    """`model` with its weights in FSDP2's shards, in place, as training will have it."""
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model

    return fsdp2_prepare_model(accelerator, model)


def let_go(model: Any) -> None:
    """Leave `model` its shards alone: a pass without gradients keeps its last layers gathered."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@contextmanager
def waiting(accelerator: Accelerator, model: Any) -> Iterator[None]:
    """Around a pass whose gradients are a part of a batch's: neither are they exchanged nor does the optimiser step."""
    from accelerate.utils import DistributedType

    if accelerator.is_fsdp2:  # gradients that wait would be whole in every process
        yield
    elif accelerator.distributed_type == DistributedType.DEEPSPEED:  # steps in the last backward pass
        state = accelerator.gradient_state
        steps = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            yield
        finally:
            state._set_sync_gradients(steps)
    else:
        with accelerator.no_sync(model):
            yield


def gathered(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The whole weights of a trained model, on the first process; every process has to call this.

    With DeepSpeed those that were trained come from the optimiser: the model itself has them in `train.dtype`.
    """
    weights: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model_wrapped) or {}
    if not trainer.is_deepspeed_enabled:
        return weights
    from deepspeed.utils import safe_get_full_fp32_param

    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            whole = safe_get_full_fp32_param(parameter)
            if trainer.accelerator.is_main_process:
                weights[name] = whole.cpu()
    return weights


def forget_deepspeed() -> None:
    """Load models whole again: while DeepSpeed's settings are known, transformers has all processes load each."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()


def filled(model: Any, weights: dict[str, torch.Tensor]) -> Any:
    """`model` with `weights` in place of its own, not copied; raises `ValueError` unless they are all of them."""
    found = model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    missing = set(found.missing_keys) - set(model.all_tied_weights_keys)
    if missing or found.unexpected_keys:
        raise ValueError(f"gathered weights: missing {sorted(missing)}, unexpected {sorted(found.unexpected_keys)}")
    return model


def _asked_for(library: str) -> bool:
    return os.environ.get(f"ACCELERATE_USE_{library}", "false").lower() == "true"
