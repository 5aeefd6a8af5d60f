"""The day world's tokenizer: a fixed word list, digits one by one, and text that comes back exactly as it went in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.common.toy_arithmetic import GAINS, LOSSES, NAMES, THINGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"

_PIECES = r" ?Day \d:|Step \d:|The answer is \\boxed\{| ?[A-Za-z]+| ?\d| ?[^\sA-Za-z\d]|\s"
"""One token each: a heading, the answer's opening, a word, digit or sign (with the space before it), white space."""


def vocabulary() -> list[str]:
    """All tokens, in the order of their ids."""
    words = [
        " has",
        " How",
        " many",
        " Last",
        " digit",
        " of",
        " the",
        " Are",
        " even",
        " or",
        " odd",
        " More",
        " than",
        " yes",
        " no",
        "even",
        "odd",
        "yes",
        "no",
    ]
    digits = [str(n) for n in range(10)] + [f" {n}" for n in range(10)]
    signs = [".", "?", "}", "\n", " ", " +", " -", " =", " %", " >"]
    headings = [f" Day {n}:" for n in range(1, 6)] + [f"Step {n}:" for n in range(1, 7)] + ["The answer is \\boxed{"]
    named = [*NAMES, *(f" {word}" for word in THINGS + GAINS + LOSSES)]
    return [PAD, EOS, UNKNOWN, *headings, *digits, *signs, *words, *named]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer; what it does not know becomes one unknown token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(vocabulary())}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
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
