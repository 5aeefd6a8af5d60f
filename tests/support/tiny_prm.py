"""Process reward models of published architectures, with random weights and a tokenizer, of the shape vLLM takes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.tiny_policy import byte_level_bpe, documents

CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
)
"""As Qwen2.5's: contents are put in as they are."""

ADDED = ("<|im_start|>", "<|im_end|>", "<extra_0>")

CONTEXT = 256
"""Tokens that the models read."""


@cache
def make_chat_tokenizer(template: str = CHATML) -> Any:
    """Byte-level, with special tokens of a chat, the tag of Qwen's PRM, and an added token that is not special."""
    from tokenizers import AddedToken

    texts = [f"{prompt} {text} ки + -" for prompt, text, _, _ in documents()]
    tokenizer = byte_level_bpe(texts, 400)
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in ADDED])
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    tokenizer.chat_template = template
    return tokenizer


def write_reward_model(folder: Path, layout: str) -> Path:
    """A model for `layout` (`qwen_math_prm`, `skywork_prm`) in `folder`, which is returned."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_chat_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        initializer_range=0.2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    weights = dict(Qwen2ForCausalLM(config).state_dict())  # published checkpoints keep the language model's head, too
    sizes = {"qwen_math_prm": {"score.0": 64, "score.2": 2}, "skywork_prm": {"v_head.summary": 1}}[layout]
    for name, size in sizes.items():
        weights |= {f"{name}.weight": 0.3 * torch.randn(size, 64), f"{name}.bias": 0.3 * torch.randn(size)}
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "model.safetensors")
    architecture = {"qwen_math_prm": "Qwen2ForProcessRewardModel", "skywork_prm": "Qwen2ForPrmModel"}[layout]
    code = {"AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig", "AutoModel": f"modeling_qwen2_rm.{architecture}"}
    state = {**config.to_dict(), "architectures": [architecture], "auto_map": code}
    (folder / "config.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def score_directly(folder: Path, ids: list[int], positions: list[int]) -> list[float]:
    """Scores at `positions` of a pass over `ids` alone, from the weights as they are stored."""
    import torch
    from safetensors.torch import load_file
    from transformers import Qwen2Model

    weights = load_file(folder / "model.safetensors")
    with torch.inference_mode():
        hidden = Qwen2Model.from_pretrained(folder)(torch.tensor([ids])).last_hidden_state[0, positions]
        if "v_head.summary.weight" in weights:
            value = hidden @ weights["v_head.summary.weight"].T + weights["v_head.summary.bias"]
            return [each.item() for each in value[:, 0].sigmoid()]
        inner = (hidden @ weights["score.0.weight"].T + weights["score.0.bias"]).clamp(min=0)
        logits = inner @ weights["score.2.weight"].T + weights["score.2.bias"]
        return [each.item() for each in logits.softmax(-1)[:, 1]]
