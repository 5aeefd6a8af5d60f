"""Reading one round's data set folder: its manifest, and its rows in training order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.provenance import file_sha256, manifest_hash
from stages.train.encode import Messages, Row
from stages.train.preference import preference_row

_WEIGHTS = ("desirable", "undesirable")


@dataclass(frozen=True)
class Source:
    """A data set as its manifest describes it; `weights` is {"outcome" or "step": {"desirable", "undesirable"}}."""

    folder: Path
    hash: str
    chat: bool
    block: int
    weights: dict[str, dict[str, float]]


def read_source(folder: Path) -> Source:
    """Read and check the manifest; raise `FileNotFoundError` or `ValueError` naming the file and what is wrong."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; the dataset stage writes it")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        weights = {level: {k: float(value["weights"][level][k]) for k in _WEIGHTS} for level in ("outcome", "step")}
        if value["format"] not in ("text", "chat"):
            raise ValueError(f"format: expected text or chat, found {value['format']!r}")
        source = Source(folder, value["hash"], value["format"] == "chat", int(value["kl_block_size"]), weights)
        files = dict(value["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a data set manifest ({error!r})") from error
    for name, expected in files.items():
        if file_sha256(folder / name) != expected:
            raise ValueError(f"{folder / name}: its sha256 is not the one in {path}")
    if manifest_hash(files) != source.hash:
        raise ValueError(f"{path}: hash does not belong to the files listed")
    return source


def read_rows(source: Source, steps: bool, right_only: bool = False) -> Iterator[Row]:
    """Rows in training order, with their steps or as one unlabelled step each; `right_only` leaves out wrong ones.

    Raises `ValueError` naming file, row and column of a row that breaks the data set's own promises.
    """
    path = source.folder / ("step_kto.parquet" if steps else "kto.parquet")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; the dataset stage writes it")
    columns = ["sample_id", "prompt", "completion", "label", *(["steps"] if steps else [])]
    frame = pl.read_parquet(path)
    if missing := [name for name in columns if name not in frame.columns]:
        raise ValueError(f"{path}: missing columns {missing}")
    for at, item in enumerate(frame.select(columns).iter_rows(named=True)):
        where = f"{path}: row {at}"
        if null := [name for name in columns if item[name] is None]:
            raise ValueError(f"{where}: no value in {null}")
        if source.chat:
            item["prompt"] = _messages(item["prompt"], where)
        row = preference_row(item, where, item["sample_id"])
        if row.outcome or not right_only:
            yield row


def _messages(text: str, where: str) -> Messages:
    try:
        messages = json.loads(text)
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: prompt: expected a JSON list of messages with role and content") from error
