"""What a round's publication is made from: its data set in training order, its tables, settings and reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.block import ParamsError, load, read_yaml
from stages.common.params.judge import JudgeParams
from stages.common.params.recipe import resolve
from stages.common.params.tables import TablesParams
from stages.common.tables import shard_names
from stages.judge import make_judge
from stages.report.sources import Sources, read_sources
from stages.train.dataset_folder import DatasetFolder, read_dataset_folder

RECIPE = Path("params.yaml")
REPORTS = Path("data/reports")

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
"""A chat: what was said by whom, in order."""


@dataclass(frozen=True)
class Round:
    """One round, as it lies below `root`."""

    name: str
    root: Path
    settings: dict[str, Any]
    """Every block after the round's overrides."""
    source: DatasetFolder
    """The data set's manifest."""
    rows: pl.DataFrame
    """The data set in training order: row, sample_id, problem_id, prompt, completion, label, steps.

    `prompt` is text, or messages of a chat; `steps` is a list of {start, end, label}."""
    digits: int
    """Hex digits by which the tables are sharded."""

    @property
    def policy(self) -> str:
        """The policy that wrote the samples: M0, or the round that made it."""
        return str(self.settings["policy"])

    @property
    def chat(self) -> bool:
        return self.source.is_chat

    @property
    def judge(self) -> JudgeParams:
        """Who judged the steps."""
        return JudgeParams.model_validate(self.settings["judge"])

    @property
    def replies(self) -> Path | None:
        """Folder of the raw replies of the models that judged, None where a rule did."""
        return self.table("labels") / "replies" if make_judge(self.judge, 0).has_replies else None

    @property
    def shards(self) -> Iterator[str]:
        return iter(shard_names(self.digits))

    def table(self, stage: str) -> Path:
        """Folder of this round's table made by `stage`."""
        return self.root / "data" / stage / self.name


def read_round(name: str, root: Path = Path()) -> Round:
    """Read round `name`; raise `ParamsError`, `FileNotFoundError` or `ValueError` saying what is missing or unfit."""
    recipe = read_yaml(root / RECIPE)
    if name not in (recipe.get("rounds") or {}):
        known = ", ".join(recipe.get("rounds") or {})
        raise ParamsError(f"{root / RECIPE}: no round {name}; the recipe has {known}")
    source = read_dataset_folder(root / "data" / "datasets" / name)
    rows = pl.read_parquet(source.folder / "step_kto.parquet").with_row_index("row").cast({"row": pl.Int64})
    if source.is_chat:
        rows = rows.with_columns(pl.col("prompt").str.json_decode(MESSAGES))
    digits = load(TablesParams, root / RECIPE, "tables").shard_digits
    return Round(name, root, resolve(recipe, name), source, rows, digits)


def read_reports(root: Path = Path()) -> Sources:
    """The stages' reports on every round of the recipe."""
    return read_sources(root / RECIPE, root / REPORTS)
