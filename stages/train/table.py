"""The encoded data set: what the trainers read, and which rows never reach them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from stages.common.tables import DropLog
from stages.train.encode import Rendered, Row, RowError, check_tokenizer, encode, render
from stages.train.loss import UNKNOWN
from stages.train.steps import Example, after_first_error, label_steps

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

CHUNK = 1024
"""Rows tokenised together."""


def encode_dataset(
    rows: Iterable[Row], tokenizer: PreTrainedTokenizerBase, rule: str, max_length: int | None, drops: DropLog
) -> Dataset:
    """Encode `rows` in order, with `rule` for what follows the first wrong step, into a data set in memory.

    Columns: prompt_ids, completion_ids, step_of_token (0-based, per completion token), step_labels (1 right, 0 wrong,
    -1 unknown), label and outcome_known (bool). Rows longer than `max_length` tokens and rows that cannot be encoded
    are counted in `drops`, never cut. Raises `ValueError` for an unfit tokenizer, or when no row is left.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    from datasets import Dataset

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
    while chunk := list(islice(iterator, CHUNK)):
        columns = [_columns(example) for example in _encode_chunk(chunk, tokenizer, rule, max_length, drops)]
        batches.append(pa.RecordBatch.from_pylist(columns, schema=schema))
    table = pa.Table.from_batches(batches, schema=schema)
    if not table.num_rows:
        counts = {reason: entry["rows"] for reason, entry in drops.report().items()}
        raise ValueError(f"no row is left to train on; dropped {counts}")
    return Dataset(table)


def with_mismatched(dataset: Dataset, block: int) -> Dataset:
    """Add each row's mismatched completion: that of the row before it, the first row of a block taking the last's.

    Columns KL_completion_ids and KL_step_of_token. Blocks are `block` consecutive rows (the last one may be shorter),
    as TRL builds them, so that a batch's mismatched completions are its own ones.
    """
    import numpy as np
    from datasets import Dataset, concatenate_datasets

    at = np.arange(len(dataset))
    first = at - at % block
    size = np.minimum(block, len(dataset) - first)
    before = first + (at - first - 1) % size
    table = dataset.with_format("arrow")[:].take(before)
    names = {"completion_ids": "KL_completion_ids", "step_of_token": "KL_step_of_token"}
    return concatenate_datasets([dataset, Dataset(table.select(list(names)).rename_columns(names))], axis=1)


def filled_up(dataset: Dataset, multiple: int) -> Dataset:
    """Add a column ``filler``, and for several processes rows that have it, until `multiple` divides their number.

    Filler rows repeat the last row without any label, and neither they nor their mismatched completions are counted:
    every process gets batches of one length, and the last loss is that of the real rows alone. (Left to itself,
    accelerate repeats real rows, which then count twice.)
    """
    from datasets import concatenate_datasets

    real = len(dataset)
    missing = -real % multiple
    if missing:
        last = dataset.select([real - 1] * missing).map(
            lambda row: {"step_labels": [UNKNOWN] * len(row["step_labels"]), "outcome_known": False},
            features=dataset.features,
        )
        dataset = concatenate_datasets([dataset, last])
    return dataset.add_column("filler", [False] * real + [True] * missing)


def _encode_chunk(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, rule: str, max_length: int | None, drops: DropLog
) -> Iterator[Example]:
    kept: list[Row] = []
    rendered: list[Rendered] = []
    for row in rows:
        try:
            rendered.append(render(row, tokenizer))
        except RowError as error:
            drops.drop(str(error), row.name, row.completion)
        else:
            kept.append(row)
    for row, encoded in zip(kept, encode(kept, rendered, tokenizer), strict=True):
        example = label_steps(after_first_error(encoded, rule))
        length = len(example.prompt_ids) + len(example.completion_ids)
        if not example.completion_ids:
            drops.drop("no token is left of the completion", row.name, row.completion)
        elif max_length is not None and length > max_length:
            drops.drop("longer than max_length", row.name, f"{length} tokens: {row.completion}")
        else:
            yield example


def _columns(example: Example) -> dict[str, Any]:
    return {
        "prompt_ids": example.prompt_ids,
        "completion_ids": example.completion_ids,
        "step_of_token": example.step_of_token,
        "step_labels": [UNKNOWN if label is None else int(label) for label in example.step_labels],
        "label": bool(example.outcome),
        "outcome_known": example.outcome is not None,
    }
