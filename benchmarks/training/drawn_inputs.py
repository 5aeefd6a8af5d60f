"""Rows without the recorded completions: words at random, as many as those have tokens."""

import math
import random
from typing import Any

from benchmarks.training.recorded_inputs import RECORDED, make_tokenizer, read_rows

WORDS = [f"w{number}" for number in range(4000)]
"""Each is one token."""

MEDIAN_TOKENS = {"prompt": 45, "completion": 313}
SIGMA = {"prompt": 0.87, "completion": 0.41}
"""Lengths are log-normal: median and deviation of the logarithm are those of the 800 recorded completions."""

MAX_TOKENS = {"prompt": 512, "completion": 1500}
STEP_TOKENS = 48
"""A recorded completion has 7.4 steps."""


def make_inputs(count: int, vocab_size: int) -> tuple[list[dict[str, Any]], Any, str]:
    """`count` rows, a tokenizer for them, and what they are: recorded texts where these are at hand, else drawn ones.

    Rows are in TRL's unpaired preference format with ``steps``.
    """
    if RECORDED.is_file():
        return read_rows(count), make_tokenizer(vocab_size), "recorded MATH completions"
    rng = random.Random(0)
    return [_draw_row(rng) for _ in range(count)], _make_word_tokenizer(), "random words of recorded lengths"


def _draw_row(rng: random.Random) -> dict[str, Any]:
    words = {
        part: rng.choices(
            WORDS, k=min(MAX_TOKENS[part], max(1, round(rng.lognormvariate(math.log(median), SIGMA[part]))))
        )
        for part, median in MEDIAN_TOKENS.items()
    }
    paragraphs = [
        " ".join(words["completion"][at : at + STEP_TOKENS]) + "\n"
        for at in range(0, len(words["completion"]), STEP_TOKENS)
    ]
    label, start, steps = rng.random() < 0.5, 0, []
    for paragraph in paragraphs:
        steps.append({"start": start, "end": start + len(paragraph), "label": label})
        start += len(paragraph)
    return {
        "prompt": " ".join(words["prompt"]) + "\n",
        "completion": "".join(paragraphs),
        "label": label,
        "steps": steps,
    }


def _make_word_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<pad>", "<eos>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
