"""What both trainers are measured on: recorded MATH solutions, a tokenizer of them, a Llama with random weights."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data")) / "recorded" / "math_100x8.jsonl"
"""100 MATH problems, each with 8 recorded solutions and their verdicts."""

SIZES: dict[str, dict[str, int]] = {
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
"""Llama shapes: one for a CPU, and that of Llama 3.2 1B."""


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` rows of TRL's unpaired preference format with ``steps``: the paragraphs, labelled by the verdict.

    A row's problem differs from those before it where it can, as in a data set of the dataset stage. Step labels are no
    judge's: for speed they only have to be there.
    """
    if not RECORDED.is_file():
        raise FileNotFoundError(f"{RECORDED}: missing; it comes with the project's data folder")
    problems = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    random.Random(seed).shuffle(problems)
    turns = [(problem, turn) for turn in range(8) for problem in problems]
    return [_row(problem, turn) for problem, turn in turns[:count]]


def _row(problem: dict[str, Any], turn: int) -> dict[str, Any]:
    text, label = problem["solutions"][turn], bool(problem["recorded_correct"][turn])
    steps, start = [], 0
    for paragraph in text.split("\n\n"):
        end = min(start + len(paragraph) + 2, len(text))
        steps.append({"start": start, "end": end, "label": label})
        start = end
    return {"prompt": problem["problem"] + "\n", "completion": text, "label": label, "steps": steps}


def tokenizer(vocabulary: int) -> Any:
    """Byte-level BPE trained on all recorded solutions, which yield some 8,000 merges: further ids stay unused."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocabulary, 8192), special_tokens=["<pad>", "<eos>"], show_progress=False
    )
    made.train_from_iterator((row["prompt"] + row["completion"] for row in rows(800)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


def model(size: str, seed: int = 0) -> Any:
    """A Llama of one of `SIZES` with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(**SIZES[size], tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=None)
    )
