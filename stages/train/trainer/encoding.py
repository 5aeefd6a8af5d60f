"""Labelled completions to the encoded data set: token ids with a step for each, tokenized as the model reads them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.data_utils import common_prefix_length

from stages.common.errors import UserError
from stages.common.tables import DropLog
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
    """What the tokenizer is given: the prompt alone, the whole text, and each step's first character in the latter."""

    prompt: str
    text: str
    starts: list[int]


def encode_dataset(
    rows: Iterable[LabelledCompletion],
    tokenizer: PreTrainedTokenizerBase,
    after_first_error: str,
    max_length: int | None,
    drops: DropLog,
) -> Dataset:
    """Encode `rows` in order into a data set in memory.

    Columns: prompt_ids, completion_ids, step_of_token (0-based, per completion token), step_labels (1 correct, 0
    incorrect, -1 unknown), label and outcome_known (bool). Rows longer than `max_length` tokens and rows that cannot be
    encoded are counted in `drops`, never cut. Raises `UserError` for an unusable tokenizer, or when no row is left.
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
        }
    )
    iterator = iter(rows)
    batches = []
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        encoded = _encode_chunk(chunk, tokenizer, after_first_error, max_length, drops)
        columns = [_to_columns(row) for _, row in encoded]
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
    iterator = iter(rows)
    encoded: dict[str, TokenizedRow] = {}
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        encoded.update(_encode_chunk(chunk, tokenizer, "keep", None, drops))
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

    Raises `RowError` when the chat template changes the completion beyond the white space around it.
    """
    if isinstance(row.prompt, str):
        end = "" if row.completion.endswith(tokenizer.eos_token) else tokenizer.eos_token
        offset = len(row.prompt)
        text = row.prompt + row.completion + end
        return RenderedRow(row.prompt, text, [offset + start for start, _ in row.spans])

    def render_chat(completion: str) -> str:
        messages = [*row.prompt, {"role": "assistant", "content": completion}]
        return tokenizer.apply_chat_template(messages, tokenize=False)

    text = render_chat(row.completion)
    # A marker shows where a completion starts: the completion's own text may occur in the prompt as well.
    offset = render_chat(_MARKER).find(_MARKER)
    if offset < 0 or not text.startswith((row.completion, row.completion.strip()), offset):
        raise RowError("the chat template changes the completion")
    if not text.startswith(row.completion, offset):
        offset -= len(row.completion) - len(row.completion.lstrip())
    prompt = tokenizer.apply_chat_template(row.prompt, tokenize=False, add_generation_prompt=True)
    return RenderedRow(prompt, text, [offset + start for start, _ in row.spans])


def tokenize_rows(
    rows: Sequence[LabelledCompletion], rendered: Sequence[RenderedRow], tokenizer: PreTrainedTokenizerBase
) -> list[TokenizedRow]:
    """Token ids and steps of rows that are all plain text or all chat; raises `UserError` where they are mixed.

    The completion starts where the tokenized prompt and the tokenized whole diverge, as in TRL.
    """
    if not rows:
        return []
    if len({isinstance(row.prompt, str) for row in rows}) > 1:
        raise UserError("prompts must be all plain text or all chat messages")
    special = isinstance(rows[0].prompt, str)  # a chat template writes its special tokens itself
    prompts = tokenizer([r.prompt for r in rendered], add_special_tokens=special)["input_ids"]
    whole = tokenizer([r.text for r in rendered], add_special_tokens=special, return_offsets_mapping=True)
    tokenized = []
    for row, text, prompt_ids, ids, offsets in zip(
        rows, rendered, prompts, whole["input_ids"], whole["offset_mapping"], strict=True
    ):
        cut = common_prefix_length(prompt_ids, ids)
        steps = map_tokens_to_steps(offsets[cut:], text.starts)
        tokenized.append(TokenizedRow(ids[:cut], ids[cut:], steps, list(row.step_labels), row.outcome))
    return tokenized


def _encode_chunk(
    rows: Sequence[LabelledCompletion],
    tokenizer: PreTrainedTokenizerBase,
    after_first_error: str,
    max_length: int | None,
    drops: DropLog,
) -> Iterator[tuple[str, TokenizedRow]]:
    kept: list[LabelledCompletion] = []
    rendered: list[RenderedRow] = []
    for row in rows:
        try:
            rendered.append(render_row(row, tokenizer))
        except RowError as error:
            drops.drop(str(error), row.name, row.completion)
        else:
            kept.append(row)
    for row, tokenized in zip(kept, tokenize_rows(kept, rendered, tokenizer), strict=True):
        encoded = remove_labels_without_tokens(apply_after_first_error(tokenized, after_first_error))
        length = len(encoded.prompt_ids) + len(encoded.completion_ids)
        if not encoded.completion_ids:
            drops.drop("no token is left of the completion", row.name, row.completion)
        elif max_length is not None and length > max_length:
            drops.drop("longer than max_length", row.name, f"{length} tokens: {row.completion}")
        else:
            yield row.name, encoded


def _to_columns(row: TokenizedRow) -> dict[str, Any]:
    return {
        "prompt_ids": row.prompt_ids,
        "completion_ids": row.completion_ids,
        "step_of_token": row.step_of_token,
        "step_labels": [UNKNOWN if label is None else int(label) for label in row.step_labels],
        "label": bool(row.outcome),
        "outcome_known": row.outcome is not None,
    }
