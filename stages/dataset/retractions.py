"""Labels that were found wrong: a list of steps whose labels count as unknown from then on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.dataset.round_tables import RoundShard

RETRACTION = {"sample_id": pl.String, "step": pl.Int32, "reason": pl.String, "who": pl.String}
"""Columns of the list: the 0-based step of a sample, why its label is wrong, and who says so."""

_KEY = ["sample_id", "step"]


def read_retractions(path: str | Path | None) -> pl.DataFrame:
    """The list in a JSON Lines file, with the columns `RETRACTION`; empty for None.

    Raises `UserError` naming the line that cannot be used.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    if path is not None:
        try:
            lines = Path(path).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: unreadable ({error}); set dataset.retracted to a JSON Lines file") from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = _read_line(line, f"{path}: line {number}")
            if (key := (row["sample_id"], row["step"])) in rows:
                raise UserError(f"{path}: line {number}: sample {key[0]} step {key[1]} is there twice; delete one line")
            rows[key] = row
    return pl.DataFrame(list(rows.values()), schema=RETRACTION)


def _read_line(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: expected an object of JSON, found {line[:80]!r}; correct the line") from error
    if not isinstance(row, dict) or row.keys() != RETRACTION.keys():
        found = sorted(row) if isinstance(row, dict) else type(row).__name__
        raise UserError(f"{where}: expected the keys {', '.join(RETRACTION)}, found {found}; correct the line")
    is_step = isinstance(row["step"], int) and not isinstance(row["step"], bool) and 0 <= row["step"] < 2**31
    texts = [name for name in ("sample_id", "reason", "who") if not (isinstance(row[name], str) and row[name].strip())]
    if texts or not is_step:
        name = (texts or ["step"])[0]
        expected = "a step counted from 0" if name == "step" else "a text that is not empty"
        raise UserError(f"{where}: {name}: expected {expected}, found {row[name]!r}; correct the line")
    return row


def retract_labels(shard: RoundShard, retractions: pl.DataFrame) -> tuple[RoundShard, Counter[str]]:
    """`shard` with the labels of `retractions` unknown, and how many of them were known, by reason."""
    steps = shard.steps.join(retractions.select(*_KEY, "reason"), on=_KEY, how="left", maintain_order="left")
    is_retracted = pl.col("reason").is_not_null()
    reasons = Counter(steps.filter(is_retracted & pl.col("label").is_not_null())["reason"].to_list())
    label = pl.when(~is_retracted).then("label")
    return replace(shard, steps=steps.with_columns(label=label).drop("reason")), reasons


def check_steps_exist(shard: RoundShard, retractions: pl.DataFrame, path: str | None) -> None:
    """Raise `UserError` for a step that a sample which was divided into steps does not have."""
    num_steps = shard.steps.group_by("sample_id").len("num_steps")
    beyond = retractions.join(num_steps, on="sample_id").filter(pl.col("step") >= pl.col("num_steps"))
    for row in beyond.sort(_KEY).iter_rows(named=True):
        raise UserError(
            f"{path}: sample {row['sample_id']}: expected one of its {row['num_steps']} steps, counted from 0, "
            f"found step {row['step']}; correct the line"
        )
