"""A Llama with random weights, a tokenizer and a chat template, of the shape that vLLM's CPU build takes."""

from __future__ import annotations

import random
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


def write_answering_llama(folder: Path, num_steps: int = 250) -> Path:
    """A small Llama in `folder` that has learned to end in ``\\boxed{0}`` or ``\\boxed{1}``, whatever it is asked."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_small_llama(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.max_position_embeddings = 2048
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rng = random.Random(0)
    for _ in range(num_steps):
        texts = []
        for _ in range(4):
            words = " ".join(rng.choices(["Find", "the", "remainder", "7", "Solve", "problem", "step", "."], k=8))
            chat = tokenizer.apply_chat_template(
                [{"role": "user", "content": words}], tokenize=False, add_generation_prompt=True
            )
            texts.append(
                f"{chat}Step 1: 1 + 1 = {rng.choice([2, 3])}\n\nThe answer is \\boxed{{{rng.choice([0, 1])}}}<eos>"
            )
        rows = tokenizer(texts, add_special_tokens=False, return_tensors="pt", padding=True)
        labels = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
        model(**rows, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder
