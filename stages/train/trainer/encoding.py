"""Labelled completions to the encoded data set: token ids with a step for each, those that were sampled where known.

Other completions are tokenized as the model reads them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.data_utils import common_prefix_length

from stages.common.engines.prompt_encoder import PromptError, encode_prompt
from stages.common.errors import UserError
from stages.common.tables import DropLog
from stages.common.token_ids import find_token_spans, hash_tokenizer, list_special_ids
from stages.train.trainer.loss import UNKNOWN
from stages.train.trainer.preference_rows import LabelledCompletion
from stages.train.trainer.token_steps import (
    TokenizedRow,
    apply_after_first_error,
    map_tokens_to_steps,
    remove_labels_without_tokens,
)

CHUNK_SIZE = 1024
"""Rows tokenized together."""

_MARKER = "the-completion-goes-here"


class RowError(ValueError):
    """A row that cannot be encoded; the message is a drop reason."""


@dataclass(frozen=True)
class RenderedRow:
    """What the tokenizer is given: the prompt alone and the whole text.

    In the latter, `starts` has each step's first character, and `end` is one past the completion's last.
    """

    prompt: str
    text: str
    starts: list[int]
    end: int


def encode_dataset(
    rows: Iterable[LabelledCompletion],
    tokenizer: PreTrainedTokenizerBase,
    after_first_error: str,
    max_length: int | None,
    drops: DropLog,
    sampled_logps: Mapping[str, float] = {},
) -> Dataset:
    """Encode `rows` in order into a data set in memory.

    Columns: prompt_ids, completion_ids, step_of_token (0-based, per completion token), step_labels (1 correct, 0
    incorrect, -1 unknown), label and outcome_known (bool), is_sampled (whether completion_ids are the sampled tokens),
    sampled_logp (of `sampled_logps`, by name, where all of these are trained on, else null).

    Rows longer than `max_length` tokens and rows that cannot be encoded are counted in `drops`, never cut. Raises
    `UserError` for an unusable tokenizer, or when no row is left.
    """
    check_tokenizer(tokenizer)
    tokens = pa.list_(pa.int32())
    schema = pa.schema(
        {
            "prompt_ids": tokens,
            "completion_ids": tokens,
            "step_of_token": tokens,
            "step_labels": pa.list_(pa.int8()),
            "label": pa.bool_(),
            "outcome_known": pa.bool_(),
            "is_sampled": pa.bool_(),
            "sampled_logp": pa.float64(),
        }
    )
    iterator, tokenizer_hash = iter(rows), hash_tokenizer(tokenizer)
    batches = []
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        encoded = _encode_chunk(chunk, tokenizer, tokenizer_hash, after_first_error, max_length, drops)
        columns = [_to_columns(row, tokens, sampled_logps) for row, tokens in encoded]
        batches.append(pa.RecordBatch.from_pylist(columns, schema=schema))
    table = pa.Table.from_batches(batches, schema=schema)
    if not table.num_rows:
        counts = {reason: entry["rows"] for reason, entry in drops.report().items()}
        raise UserError(f"no row is left to train on; dropped {counts}")
    return Dataset(table)


def encode_by_name(
    rows: Iterable[LabelledCompletion], tokenizer: PreTrainedTokenizerBase, drops: DropLog
) -> dict[str, TokenizedRow]:
    """Encode `rows` whatever their length, by name; those that cannot be encoded are counted in `drops`."""
    check_tokenizer(tokenizer)
    iterator, tokenizer_hash = iter(rows), hash_tokenizer(tokenizer)
    encoded: dict[str, TokenizedRow] = {}
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        tokens = _encode_chunk(chunk, tokenizer, tokenizer_hash, "keep", None, drops)
        encoded.update((row.name, of_row) for row, of_row in tokens)
    return encoded


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise `UserError` unless `tokenizer` has an end token and gives the characters of each token."""
    name = type(tokenizer).__name__
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"{name}: steps are found by character offsets, which only fast tokenizers give; "
            "convert it to a tokenizer.json"
        )
    if tokenizer.eos_token is None:
        raise UserError(f"{name}: has no end-of-sequence token")


def render_row(row: LabelledCompletion, tokenizer: PreTrainedTokenizerBase) -> RenderedRow:
    """`row` as text: concatenated and closed by the end token, or through the chat template, as TRL's trainers do it.

    A completion that was cut ends where it was cut. Raises `RowError` when the chat template changes the completion
    beyond the white space around it.
    """
    if isinstance(row.prompt, str):
        end = "" if row.is_cut or row.completion.endswith(tokenizer.eos_token) else tokenizer.eos_token
        offset = len(row.prompt)
        text = row.prompt + row.completion
        return RenderedRow(row.prompt, text + end, [offset + start for start, _ in row.spans], len(text))

    def render_chat(completion: str) -> str:
        messages = [*row.prompt, {"role": "assistant", "content": completion}]
        return tokenizer.apply_chat_template(messages, tokenize=False)

    text = render_chat(row.completion)
    # A marker shows where a completion starts: the completion's own text may occur in the prompt as well.
    offset = render_chat(_MARKER).find(_MARKER)
    if offset < 0 or not text.startswith((row.completion, row.completion.strip()), offset):
        raise RowError("the chat template changes the completion")
    end = offset + len(row.completion)
    if not text.startswith(row.completion, offset):
        end = offset + len(row.completion.strip())
        offset -= len(row.completion) - len(row.completion.lstrip())
    prompt = tokenizer.apply_chat_template(row.prompt, tokenize=False, add_generation_prompt=True)
    return RenderedRow(prompt, text[:end] if row.is_cut else text, [offset + start for start, _ in row.spans], end)


def tokenize_rows(
    rows: Sequence[LabelledCompletion], rendered: Sequence[RenderedRow], tokenizer: PreTrainedTokenizerBase
) -> list[TokenizedRow]:
    """Token ids and steps of rows that are all plain text or all chat; raises `UserError` where they are mixed.

    The completion starts where the tokenized prompt and the tokenized whole diverge, as in TRL. It ends with the first
    end token behind it: what a chat template writes after that was never sampled.
    """
    if not rows:
        return []
    if len({isinstance(row.prompt, str) for row in rows}) > 1:
        raise UserError("prompts must be all plain text or all chat messages")
    special = isinstance(rows[0].prompt, str)  # a chat template writes its special tokens itself
    prompts = tokenizer([r.prompt for r in rendered], add_special_tokens=special)["input_ids"]
    whole = tokenizer([r.text for r in rendered], add_special_tokens=special, return_offsets_mapping=True)
    special_ids = list_special_ids(tokenizer)
    tokenized = []
    for row, text, prompt_ids, ids, offsets in zip(
        rows, rendered, prompts, whole["input_ids"], whole["offset_mapping"], strict=True
    ):
        start = common_prefix_length(prompt_ids, ids)
        ends = (at for at in range(start, len(ids)) if ids[at] in special_ids and offsets[at][0] >= text.end)
        stop = next(ends, len(ids) - 1) + 1
        while row.is_cut and stop > start and tuple(offsets[stop - 1]) == (0, 0):
            stop -= 1  # an end token that the tokenizer adds by itself
        steps = map_tokens_to_steps(offsets[start:stop], text.starts)
        tokenized.append(TokenizedRow(ids[:start], ids[start:stop], steps, list(row.step_labels), row.outcome))
    return tokenized


def read_sampled_tokens(row: LabelledCompletion, tokenizer: PreTrainedTokenizerBase) -> TokenizedRow | None:
    """`row` as the tokens that were sampled after its prompt; None where they do not spell its completion.

    Raises `RowError` for a prompt that the chat template cannot express.
    """
    spans = find_token_spans(tokenizer, row.token_ids or [], row.completion)
    if spans is None:
        return None
    try:
        prompt_ids = encode_prompt(tokenizer, row.prompt)
    except PromptError as error:
        raise RowError(str(error)) from error
    steps = map_tokens_to_steps(spans, [start for start, _ in row.spans])
    return TokenizedRow(
        prompt_ids, list(row.token_ids or []), steps, list(row.step_labels), row.outcome, is_sampled=True
    )


def _encode_chunk(
    rows: Sequence[LabelledCompletion],
    tokenizer: PreTrainedTokenizerBase,
    tokenizer_hash: str,
    after_first_error: str,
    max_length: int | None,
    drops: DropLog,
) -> Iterator[tuple[LabelledCompletion, TokenizedRow]]:
    kept: list[tuple[LabelledCompletion, TokenizedRow | None]] = []
    texts: list[tuple[LabelledCompletion, RenderedRow]] = []
    for row in rows:
        try:
            has_ids = row.token_ids is not None and row.tokenizer == tokenizer_hash
            sampled = read_sampled_tokens(row, tokenizer) if has_ids else None
            if sampled is None:
                texts.append((row, render_row(row, tokenizer)))
            kept.append((row, sampled))
        except RowError as error:
            drops.drop(str(error), row.name, row.completion)
    encoded_texts = iter(tokenize_rows([row for row, _ in texts], [text for _, text in texts], tokenizer))
    for row, sampled in kept:
        tokenized = sampled or next(encoded_texts)
        encoded = remove_labels_without_tokens(apply_after_first_error(tokenized, after_first_error))
        length = len(encoded.prompt_ids) + len(encoded.completion_ids)
        if not encoded.completion_ids:
            drops.drop("no token is left of the completion", row.name, row.completion)
        elif max_length is not None and length > max_length:
            drops.drop("longer than max_length", row.name, f"{length} tokens: {row.completion}")
        else:
            yield row, encoded


def _to_columns(source: LabelledCompletion, row: TokenizedRow, sampled_logps: Mapping[str, float]) -> dict[str, Any]:
    is_whole = row.is_sampled and len(row.completion_ids) == len(source.token_ids or [])
    return {
        "prompt_ids": row.prompt_ids,
        "completion_ids": row.completion_ids,
        "step_of_token": row.step_of_token,
        "step_labels": [UNKNOWN if label is None else int(label) for label in row.step_labels],
        "label": bool(row.outcome),
        "outcome_known": row.outcome is not None,
        "is_sampled": row.is_sampled,
        "sampled_logp": sampled_logps.get(source.name) if is_whole else None,
    }
