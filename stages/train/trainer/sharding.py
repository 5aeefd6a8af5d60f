"""Sharded weights, by FSDP2 or DeepSpeed ZeRO 3: what training needs beyond accelerate's own settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from transformers import AutoConfig, Trainer

from stages.common.policies import Policy
from stages.common.tables import replace_dir

PROCESS_TIMEOUT = timedelta(hours=2)
"""How long processes wait for each other, as while the first downloads and converts a policy; by default libraries
wait for 10 to 30 minutes."""


def join_processes(device: str) -> PartialState:
    """Join the processes that were launched, if any, and return accelerate's view of them."""
    processes = PartialState(cpu=device == "cpu", timeout=PROCESS_TIMEOUT)
    if device == "cpu" and _is_launched_with("FSDP"):
        # accelerate shards on GPUs only, but PyTorch can on CPU as well.
        processes.distributed_type = DistributedType.MULTI_GPU
    return processes


def is_sharded() -> bool:
    """Whether the launcher was told to shard weights: a model is then mapped into memory and sharded from there."""
    return _is_launched_with("FSDP") or _is_launched_with("DEEPSPEED")


def convert_to_float32(policy: Policy, folder: Path, processes: PartialState) -> Policy:
    """`policy` with weights in float32 files: its own, or copies that the first process writes to `folder`.

    Weights loaded in the type of their files are mapped into memory that the processes of a machine share; weights that
    are cast while loading take their full size in every process.
    """
    config = AutoConfig.from_pretrained(policy.source, revision=policy.revision, trust_remote_code=False)
    if config.dtype == torch.float32:
        return policy
    with processes.main_process_first():
        if not folder.exists():
            with replace_dir(folder) as out:
                policy.load_model().save_pretrained(out)
    return replace(policy, folder=folder, repo=None, revision=None)


def make_sharding_args(device: str) -> dict[str, Any]:
    """Training arguments for sharded weights; none where weights are not sharded."""
    if not _is_launched_with("FSDP"):
        return {}
    # Otherwise gradients of accumulated passes would be held unsharded in every process.
    config: dict[str, Any] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    if device == "cpu":
        config["use_configured_state"] = True  # that of `join_processes`
    return {"accelerator_config": config}


def keep_float32_outputs(accelerator: Accelerator) -> None:
    """Under FSDP2 in bfloat16, reduce gradients and return a model's outputs in float32.

    accelerate casts both to bfloat16: log-probs would keep three digits, and their sums be off by tenths of a nat.
    """
    if accelerator.mixed_precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        accelerator.state.fsdp_plugin.mixed_precision_policy = policy


def reshard(model: Any) -> None:
    """Free the gathered weights of `model`'s last layers, which a pass without gradients leaves behind."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@contextmanager
def no_grad_sync(accelerator: Accelerator, model: Any) -> Iterator[None]:
    """Around a micro-batch that is not its batch's last: no exchange of gradients, no optimizer step."""
    if accelerator.is_fsdp2:  # gradients that are not exchanged would be held unsharded in every process
        yield
    elif accelerator.distributed_type == DistributedType.DEEPSPEED:  # steps in the last backward pass
        state = accelerator.gradient_state
        is_last = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            yield
        finally:
            state._set_sync_gradients(is_last)
    else:
        with accelerator.no_sync(model):
            yield


def gather_weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The unsharded weights of a trained model, on the first process; every process has to call this.

    With DeepSpeed the trained ones come from the optimizer, in float32: the model has them in `train.dtype`.
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


def assign_weights(model: Any, weights: dict[str, torch.Tensor]) -> Any:
    """`model` with `weights` in place of its own, not copied; raises `ValueError` unless the names are the same."""
    keys = model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    missing = set(keys.missing_keys) - set(model.all_tied_weights_keys)
    if missing or keys.unexpected_keys:
        raise ValueError(f"gathered weights: missing {sorted(missing)}, unexpected {sorted(keys.unexpected_keys)}")
    return model


def _is_launched_with(library: str) -> bool:
    return os.environ.get(f"ACCELERATE_USE_{library}", "false").lower() == "true"
