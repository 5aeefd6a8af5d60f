"""Token ids of completions: what they spell, and where in the text each token lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.common.tables import content_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"
"""What tokens decode to that are no complete character."""

Span = tuple[int, int]
"""First character of a token and one past its last, in code points; (0, 0) for a token without characters."""


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of what ids mean to `tokenizer`: all its tokens with their ids. Files of another form do not change it."""
    return content_hash("tokenizer", tokenizer.get_vocab())


def list_special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of the tokens that are no text: those that end, begin or pad."""
    return {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}


def decode_ids(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of `ids` without special tokens, spaces as sampled."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


def spells_text(decoded: str, text: str) -> bool:
    """Whether `decoded` is `text`.

    Engines differ at both ends alone: in white space before the first token, and in a last character whose bytes were
    not all sampled.
    """
    return decoded.lstrip().rstrip(REPLACEMENT) == text.lstrip().rstrip(REPLACEMENT)


def find_token_spans(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], text: str) -> list[Span] | None:
    """The characters of `text` that each of `ids` spells; None where they do not spell it.

    Tokens are decoded one after the other. Those that share a character of several bytes all hold it; special tokens
    hold none. `tokenizer` is a fast one.
    """
    from tokenizers.decoders import DecodeStream

    special = list_special_ids(tokenizer)
    stream, backend = DecodeStream(), tokenizer.backend_tokenizer
    spans: list[Span] = []
    waiting: list[int] = []
    decoded = ""
    for at, token in enumerate(ids):
        spans.append((0, 0))
        if token in special:
            continue
        waiting.append(at)
        try:
            piece = stream.step(backend, token)
        except Exception:  # noqa: BLE001 - of ids that decode unevenly the library raises Exception itself
            return None
        if piece is not None:
            spans[at] = (len(decoded), len(decoded) + len(piece))
            for earlier in waiting[:-1]:
                spans[earlier] = (len(decoded), len(decoded) + 1)
            decoded += piece
            waiting.clear()
    whole = decode_ids(tokenizer, ids)
    if not (whole.startswith(decoded) and spells_text(whole, text)):
        return None
    for at in waiting:  # what they spell ends in an incomplete character
        spans[at] = (len(decoded), max(len(whole), len(decoded) + 1))
    shift = len(text) - len(text.lstrip()) - (len(whole) - len(whole.lstrip()))
    return [(max(start + shift, 0), max(end + shift, 0)) if end else (0, 0) for start, end in spans]
