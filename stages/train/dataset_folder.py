"""Reading one round's data set folder: its manifest, and its rows in training order."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.provenance import compute_sha256, hash_manifest
from stages.train.trainer.pair_encoding import Pair
from stages.train.trainer.preference_rows import LabelledCompletion, Messages, read_preference_row

SAMPLED_COLUMNS = ("finish_reason", "completion_ids", "tokenizer")
"""What data sets of samples hold besides, as in SAMPLE; others have texts alone."""

_WEIGHTS = ("desirable", "undesirable")


@dataclass(frozen=True)
class DatasetFolder:
    """A data set as its manifest describes it; `weights` is {"outcome" or "step": {"desirable", "undesirable"}}."""

    folder: Path
    hash: str
    is_chat: bool
    kl_block_size: int
    weights: dict[str, dict[str, float]]


def read_dataset_folder(folder: Path) -> DatasetFolder:
    """Read and check the manifest; raise `UserError` naming the file and what is wrong."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{path}: missing; the dataset stage writes it")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        weights = {level: {k: float(value["weights"][level][k]) for k in _WEIGHTS} for level in ("outcome", "step")}
        if value["format"] not in ("text", "chat"):
            raise UserError(f"format: expected text or chat, found {value['format']!r}")
        dataset = DatasetFolder(folder, value["hash"], value["format"] == "chat", int(value["kl_block_size"]), weights)
        files = dict(value["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a data set manifest ({error!r})") from error
    for name, expected in files.items():
        if compute_sha256(folder / name) != expected:
            raise UserError(f"{folder / name}: its sha256 is not the one in {path}")
    if hash_manifest(files) != dataset.hash:
        raise UserError(f"{path}: hash does not belong to the files listed")
    return dataset


def read_rows(dataset: DatasetFolder, with_steps: bool, only_correct: bool = False) -> Iterator[LabelledCompletion]:
    """Rows in training order, with their steps or as one unlabelled step each; `only_correct` skips incorrect ones.

    Raises `UserError` naming file, row and column of a malformed row.
    """
    path = dataset.folder / ("step_kto.parquet" if with_steps else "kto.parquet")
    columns = ["sample_id", "prompt", "completion", "label", *(["steps"] if with_steps else [])]
    frame = _read_columns(path, columns, SAMPLED_COLUMNS)
    for index, item in enumerate(frame.iter_rows(named=True)):
        where = f"{path}: row {index}"
        if null := [name for name in columns if item[name] is None and name != "label"]:
            raise UserError(f"{where}: no value in {null}")
        if dataset.is_chat:
            item["prompt"] = _parse_messages(item["prompt"], where)
        row = read_preference_row(item, where, item["sample_id"])
        if row.outcome or not only_correct:
            yield row


def read_pairs(dataset: DatasetFolder, of_steps: bool) -> list[Pair]:
    """The pairs in training order: of steps, or of completions. Raises `UserError` where there are none."""
    path = dataset.folder / ("step_pairs.parquet" if of_steps else "pairs.parquet")
    frame = _read_columns(
        path, ["chosen_sample_id", "rejected_sample_id"] + of_steps * ["chosen_step", "rejected_step"]
    )
    if frame.is_empty():
        what = "a correct and an incorrect next step after the same correct steps" if of_steps else "both outcomes"
        raise UserError(
            f"{path}: expected pairs, found none: no problem has {what}; the dataset stage's report counts why; draw "
            "more samples per problem (sample.num_samples), or train by another method"
        )
    return [Pair(*row) for row in frame.iter_rows()]


def _read_columns(path: Path, columns: list[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """`columns` of a file of the data set, and those of `optional` that it has.

    Raises `UserError` where the file or one of `columns` is missing.
    """
    if not path.is_file():
        raise UserError(f"{path}: missing; the dataset stage writes it")
    frame = pl.read_parquet(path)
    if missing := [name for name in columns if name not in frame.columns]:
        raise UserError(f"{path}: missing columns {missing}")
    return frame.select(columns + [name for name in optional if name in frame.columns])


def _parse_messages(text: str, where: str) -> Messages:
    try:
        messages = json.loads(text)
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{where}: prompt: expected a JSON list of messages with role and content") from error
