"""Inputs of both trainers: recorded MATH completions, a tokenizer trained on them, a Llama with random weights."""

import json
import os
import random
from pathlib import Path
from typing import Any

from stages.common.errors import UserError

RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data")) / "recorded" / "math_100x8.jsonl"
"""100 MATH problems, each with 8 recorded completions and whether they are correct."""

SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "vocab_size": 4096,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
    },
    "small": {
        "vocab_size": 4096,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
    },
    "1b": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096,
    },
}
"""Llama shapes: one for tests, one for a CPU, and Llama 3.2 1B's. vLLM on CPUs wants 32 dimensions per head."""


def read_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` rows of TRL's unpaired preference format with ``steps``: paragraphs, labelled as the completion is.

    Neighbouring rows have different problems, as the dataset stage orders them. Step labels come from no judge: speed
    does not depend on them.
    """
    if not RECORDED.is_file():
        raise UserError(f"{RECORDED}: missing; it comes with the project's data folder")
    problems = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    random.Random(seed).shuffle(problems)
    pairs = [(problem, index) for index in range(8) for problem in problems]
    return [_make_row(problem, index) for problem, index in pairs[:count]]


def _make_row(problem: dict[str, Any], index: int) -> dict[str, Any]:
    text, label = problem["solutions"][index], bool(problem["recorded_correct"][index])
    steps, start = [], 0
    for paragraph in text.split("\n\n"):
        end = min(start + len(paragraph) + 2, len(text))
        steps.append({"start": start, "end": end, "label": label})
        start = end
    return {"prompt": problem["problem"] + "\n", "completion": text, "label": label, "steps": steps}


def make_tokenizer(vocab_size: int) -> Any:
    """Byte-level BPE trained on all recorded completions, which give about 8,000 merges: further ids stay unused."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocab_size, 8192), special_tokens=["<pad>", "<eos>"], show_progress=False
    )
    tokenizer.train_from_iterator((row["prompt"] + row["completion"] for row in read_rows(800)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def make_model(size: str, seed: int = 0) -> Any:
    """A Llama of one of `SIZES` with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(**SIZES[size], tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=None)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return LlamaForCausalLM(config)
