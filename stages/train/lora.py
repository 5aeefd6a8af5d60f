"""LoRA and QLoRA: adapters trained in place of the weights, and merged into them for the policy that is handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.params.train import LoraParams
from stages.policies import Policy

if TYPE_CHECKING:
    from peft import LoraConfig


def adapters(lora: LoraParams) -> LoraConfig:
    """Adapters on every linear layer but the language model's head; raises `ValueError` where peft is not installed."""
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("train.lora: needs the package peft: pip install 'stepkto-data[lora]'") from error
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def quantised(policy: Policy, device: str) -> Any:
    """The policy's model with its weights in 4 bits (NF4), as QLoRA freezes them."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    return AutoModelForCausalLM.from_pretrained(
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


def merged(trained: Any, weights: dict[str, Any] | None, lora: LoraParams, policy: Policy) -> Any:
    """The policy's own weights, in float32, with the adapters of `trained` merged into them: a plain model.

    `weights` are those of `trained`, gathered from all processes; None where it has them.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    whole = get_peft_model(policy.model(), adapters(lora))
    set_peft_model_state_dict(whole, get_peft_model_state_dict(trained, state_dict=weights))
    return whole.merge_and_unload()
