"""The toy-arithmetic tokenizer: a fixed vocabulary with single digits; decoding restores the exact text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.common.toy_arithmetic import GAIN_VERBS, LOSS_VERBS, NAMES, OBJECTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"

_SPLIT_REGEX = r" ?Day \d:|Step \d:|The answer is \\boxed\{| ?[A-Za-z]+| ?\d| ?[^\sA-Za-z\d]|\s"
"""One token each: a heading, the start of the answer, a word, digit or sign with the space before it, white space."""


def list_vocabulary() -> list[str]:
    """All tokens, in the order of their ids."""
    words = "has How many Last digit of the Are even or odd More than yes no"
    answers = ["even", "odd", "yes", "no"]
    digits = [str(n) for n in range(10)] + [f" {n}" for n in range(10)]
    signs = [".", "?", "}", "\n", " ", " +", " -", " =", " %", " >"]
    headings = [f" Day {n}:" for n in range(1, 6)] + [f"Step {n}:" for n in range(1, 7)] + ["The answer is \\boxed{"]
    nouns_and_verbs = [*NAMES, *(f" {word}" for word in OBJECTS + GAIN_VERBS + LOSS_VERBS)]
    return [
        PAD,
        EOS,
        UNKNOWN,
        *headings,
        *digits,
        *signs,
        *(f" {word}" for word in words.split()),
        *answers,
        *nouns_and_verbs,
    ]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer; text outside the vocabulary becomes one unknown token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(list_vocabulary())}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_SPLIT_REGEX), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=256,
    )
