"""LoRA and QLoRA: adapters trained in place of the weights and then merged into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from stages.common.errors import UserError
from stages.common.params.train import LoraParams
from stages.common.policies import Policy

if TYPE_CHECKING:
    from peft import LoraConfig


def make_lora_config(lora: LoraParams) -> LoraConfig:
    """Adapters on every linear layer but the language model's head; raises `UserError` where peft is not installed."""
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UserError("train.lora: needs the package peft: pip install 'stepkto-data[lora]'") from error
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def load_model_in_4bit(policy: Policy, device: str) -> Any:
    """The policy's model with its weights in 4 bits (NF4), frozen as in QLoRA.

    Raises `UserError` where bitsandbytes is not installed.
    """
    try:
        from bitsandbytes.nn import Linear4bit
    except ImportError as error:
        raise UserError(
            "train.lora.load_in_4bit: needs the package bitsandbytes: pip install 'stepkto-data[qlora]'"
        ) from error
    model = AutoModelForCausalLM.from_pretrained(
        policy.source,
        revision=policy.revision,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
        device_map={"": device},
        use_safetensors=True,
        trust_remote_code=False,
    )
    for module in model.modules():
        if isinstance(module, Linear4bit):
            # On some CPUs a pass in evaluation mode, as the reference's, leaves weights in a layout for inference, and
            # gradients then stop at the layer without an error (bitsandbytes 0.50).
            module.support_avx512bf16_for_cpu = False
    return model


def cast_adapters_to_float32(model: Any) -> None:
    """Keep adapters in float32: TRL casts those over 4-bit weights to bfloat16, which small updates do not change."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def merge_adapters(trained: Any, weights: dict[str, Any] | None, lora: LoraParams, policy: Policy) -> Any:
    """The policy's own weights, in float32, with the adapters of `trained` merged into them: a plain model.

    `weights` are those of `trained`, gathered from all processes; None where it holds them itself.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    whole = get_peft_model(policy.load_model(), make_lora_config(lora))
    set_peft_model_state_dict(whole, get_peft_model_state_dict(trained, state_dict=weights))
    return whole.merge_and_unload()
