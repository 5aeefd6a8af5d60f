"""A Llama with random weights, a tokenizer and a chat template, of the shape that vLLM's CPU build takes."""

from __future__ import annotations

from pathlib import Path

from stages.common.params.engine import VllmParams
from tests.support.tiny_policy import CHAT_TEMPLATE, byte_level_bpe, documents

STRICT = "{% if messages[0]['role'] == 'stranger' %}{{ raise_exception('no strangers') }}{% endif %}"
"""Templates may refuse a chat; this one does."""

CONTEXT = 512
"""Tokens that it reads."""


PLAIN_VLLM = VllmParams()
"""Nothing special is asked of vLLM."""


def write_small_llama(folder: Path, hidden: int = 64, layers: int = 2, heads: int = 2) -> Path:
    """Write it to `folder`, which is returned. vLLM's CPU attention wants at least 32 dimensions per head."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_level_bpe([prompt + completion for prompt, completion, _, _ in documents()])
    tokenizer.chat_template = STRICT + CHAT_TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.1,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
