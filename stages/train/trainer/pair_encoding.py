"""Preference pairs as token ids: two encoded completions of one prompt, whole or up to a step, and where they part."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]
from datasets import Dataset

from stages.common.errors import UserError
from stages.common.tables import DropLog
from stages.train.trainer.encoding import RowError
from stages.train.trainer.token_steps import TokenizedRow


@dataclass(frozen=True)
class Pair:
    """Names of the chosen and the rejected row, and of each the step that is compared; None compares completions."""

    chosen: str
    rejected: str
    chosen_step: int | None = None
    rejected_step: int | None = None


def encode_pairs(
    pairs: Iterable[Pair], rows: Mapping[str, TokenizedRow], max_length: int | None, drops: DropLog
) -> Dataset:
    """Encode `pairs` of `rows` in order: columns prompt_ids, chosen_ids, rejected_ids, as TRL's DPO trainer reads them.

    ``prompt_ids`` is all that comes before what is compared: of steps, the beginning too, which so has no loss
    (Step-DPO, arXiv 2406.18629). A pair of which either sequence is longer than `max_length` tokens, or that cannot be
    encoded, is counted in `drops`, never cut. Raises `UserError` when no pair is left.
    """
    tokens = pa.list_(pa.int32())
    schema = pa.schema(dict.fromkeys(["prompt_ids", "chosen_ids", "rejected_ids"], tokens))
    columns: dict[str, list[pa.Array]] = {name: [] for name in schema.names}
    for pair in pairs:
        try:
            encoded = _encode_pair(pair, rows, max_length)
        except RowError as error:
            drops.drop(str(error), f"{pair.chosen} and {pair.rejected}")
        else:
            for name, ids in zip(schema.names, encoded, strict=True):
                columns[name].append(pa.array(ids, type=pa.int32()))
    if not columns["prompt_ids"]:
        raise UserError(f"no pair is left to train on; dropped {drops.counts()}")
    arrays = [pa.array(columns[name], type=tokens) for name in schema.names]
    return Dataset(pa.table(arrays, schema=schema))


def _encode_pair(
    pair: Pair, rows: Mapping[str, TokenizedRow], max_length: int | None
) -> tuple[list[int], list[int], list[int]]:
    if pair.chosen not in rows or pair.rejected not in rows:
        raise RowError("pair of a completion that cannot be encoded")
    chosen, chosen_start = _cut(rows[pair.chosen], pair.chosen_step)
    rejected, rejected_start = _cut(rows[pair.rejected], pair.rejected_step)
    if max_length is not None and max(len(chosen), len(rejected)) > max_length:
        raise RowError("pair with a sequence longer than max_length")
    start = min(chosen_start, rejected_start)
    if chosen[:start] != rejected[:start]:
        raise RowError("pair whose common beginning has different tokens in both")
    if start == len(chosen) or start == len(rejected):
        raise RowError("pair of a step without tokens")
    return chosen[:start], chosen[start:], rejected[start:]


def _cut(row: TokenizedRow, step: int | None) -> tuple[list[int], int]:
    """The tokens of prompt and completion up to the end of `step`, and how many of them are before it."""
    start, end = 0, len(row.completion_ids)
    if step is not None:
        start, end = bisect_left(row.step_of_token, step), bisect_right(row.step_of_token, step)
    return row.prompt_ids + row.completion_ids[:end], len(row.prompt_ids) + start
