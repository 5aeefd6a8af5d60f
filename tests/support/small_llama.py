"""A Llama with random weights, a tokenizer and a chat template, of the shape that vLLM's CPU build takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from stages.common.params.engine import VllmParams
from tests.support.tiny_policy import CHAT_TEMPLATE, byte_level_bpe, documents

STRICT = "{% if messages[0]['role'] == 'stranger' %}{{ raise_exception('no strangers') }}{% endif %}"
"""Templates may refuse a chat; this one does."""

TAGS = ("<think>", "</think>")
"""Tokens that are not special, so that they stay in a text, as those of Qwen3 and DeepSeek-R1."""

NO_THINKING = (
    "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}"
)
"""What the template of Qwen3 adds where thinking is switched off."""

CONTEXT = 512
"""Tokens that it reads."""


PLAIN_VLLM = VllmParams()
"""Nothing special is asked of vLLM."""


def write_small_llama(folder: Path, hidden: int = 64, layers: int = 2, heads: int = 2, tagged: bool = False) -> Path:
    """Write it to `folder`, which is returned. vLLM's CPU attention wants at least 32 dimensions per head.

    Its tokenizer has `TAGS` if it is `tagged`.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_level_bpe([prompt + completion for prompt, completion, _, _ in documents()])
    tokenizer.chat_template = STRICT + CHAT_TEMPLATE
    if tagged:
        tokenizer.add_tokens(list(TAGS))
        tokenizer.chat_template += NO_THINKING
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

    def answer(rng: random.Random) -> str:
        return f"Step 1: 1 + 1 = {rng.choice([2, 3])}\n\nThe answer is \\boxed{{{rng.choice([0, 1])}}}"

    return _teach(write_small_llama(folder), answer, num_steps, context=2048)


def write_reasoning_llama(folder: Path, num_steps: int = 300) -> Path:
    """A small Llama in `folder` that has learned to think in `TAGS` for a line or two before it says something."""

    def answer(rng: random.Random) -> str:
        sums = [f"1 + {term} = {1 + term}\n" for term in rng.choices(range(1, 6), k=rng.randint(1, 2))]
        return f"<think>\n{''.join(sums)}</think>\n\nThe answer is {rng.choice([0, 1])}"

    return _teach(write_small_llama(folder, tagged=True), answer, num_steps)


def _teach(folder: Path, answer: Callable[[random.Random], str], num_steps: int, context: int = CONTEXT) -> Path:
    """Train the model in `folder` to complete any chat by a draw of `answer`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.max_position_embeddings = context
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rng = random.Random(0)
    for _ in range(num_steps):
        texts = []
        for _ in range(4):
            words = " ".join(rng.choices(["Find", "the", "remainder", "7", "Solve", "problem", "step", "."], k=8))
            chat = tokenizer.apply_chat_template(
                [{"role": "user", "content": words}], tokenize=False, add_generation_prompt=True
            )
            texts.append(f"{chat}{answer(rng)}<eos>")
        rows = tokenizer(texts, add_special_tokens=False, return_tensors="pt", padding=True)
        labels = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
        model(**rows, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder
