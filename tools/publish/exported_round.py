"""What a round is published from: its data set in training order, its tables and its params."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.engines import find_engine_kind
from stages.common.params.block import ParamsError, load, read_yaml
from stages.common.params.engine import EngineParams
from stages.common.params.judge import JudgeParams
from stages.common.params.recipe import resolve
from stages.common.params.tables import TablesParams
from stages.common.tables import Table, list_shards, read_shard
from stages.dataset import read_retractions
from stages.judge import Judge, make_judge
from stages.judge.llm import hash_prompt
from stages.train.dataset_folder import DatasetFolder, read_dataset_folder

RECIPE = Path("params.yaml")

_PATH = re.compile(r"(?:~|\.{0,2})(?:/[^/\s]+){2,}")
"""A path from the root, the home folder, or this or the parent folder."""

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
"""A chat: its messages in order."""


@dataclass(frozen=True)
class ExportedRound:
    """One round of the project at `root`."""

    name: str
    root: Path
    params: dict[str, Any]
    """Every block after the round's overrides."""
    dataset: DatasetFolder
    rows: pl.DataFrame
    """The data set in training order: row, sample_id, problem_id, prompt, completion, label, steps.

    `prompt` is text, or messages of a chat; `steps` is a list of {start, end, label}."""
    shards: list[str]
    """Names of the tables' shards."""

    @property
    def policy(self) -> str:
        """The sampled policy: M0, or the round that trained it."""
        return str(self.params["policy"])

    @property
    def is_chat(self) -> bool:
        return self.dataset.is_chat

    @property
    def is_recorded(self) -> bool:
        """Whether the completions were sampled elsewhere and recorded."""
        return not find_engine_kind(EngineParams.model_validate(self.params["sample"]["engine"])).generates

    @property
    def judge(self) -> Judge:
        """The judge of the steps, for what it says of itself."""
        return make_judge(JudgeParams.model_validate(self.params["judge"]), 0)

    @property
    def judge_models(self) -> list[str]:
        """The judging models with the revisions of those that have one; none where a rule judged."""
        return [
            f"{hide_folders(model.model)}@{model.revision}" if model.revision else hide_folders(model.model)
            for model in self.judge.llms
        ]

    @property
    def judge_prompts(self) -> list[str]:
        """The hash of each judging model's prompt template."""
        return [hash_prompt(model.template) for model in self.judge.llms]

    def describe_judge(self) -> dict[str, Any]:
        """What a reader needs to recount the votes: the judge's kind, models, prompts, and rule of agreement.

        Of a process reward model, its thresholds, too.
        """
        params = self.judge.params
        prm = params.prm if params.kind == "prm" else None
        return {
            **params.model_dump(mode="json", include={"kind", "num_votes", "min_agreement", "label_noise"}),
            "description": self.judge.description,
            "models": [hide_folders(prm.model)] if prm else self.judge_models,
            "prompts": self.judge_prompts,
            **(prm.model_dump(mode="json", include={"correct_threshold", "incorrect_threshold"}) if prm else {}),
        }

    @property
    def replies(self) -> Path | None:
        """Folder of the judging models' raw replies, None where a rule judged."""
        return self.locate("labels") / "replies" if self.judge.has_replies else None

    @cached_property
    def retractions(self) -> pl.DataFrame:
        """Labels of steps that were found wrong and are unknown here, as `read_retractions` gives them."""
        path = self.params["dataset"].get("retracted")
        return read_retractions(path and self.root / path)

    def locate(self, stage: str) -> Path:
        """Folder of the table of this round made by `stage`; the problems are those of all rounds."""
        folder = self.root / "data" / stage
        return folder if stage == "problems" else folder / self.name

    def read_table(self, stage: str, table: Table, shard: str) -> pl.DataFrame:
        """One shard of the table made by `stage`; see `read_shard`."""
        return read_shard(self.locate(stage), table, shard)


def hide_folders(text: str) -> str:
    """The last part of a text that is a path on this machine; any other text, such as ORG/NAME, as it is."""
    return text.rpartition("/")[2] if _PATH.fullmatch(text) else text


def read_round(name: str, root: Path = Path()) -> ExportedRound:
    """Read round `name`; raise `ParamsError`, `FileNotFoundError` or `ValueError` naming what is missing or invalid."""
    recipe = read_yaml(root / RECIPE)
    if name not in (recipe.get("rounds") or {}):
        known = ", ".join(recipe.get("rounds") or {})
        raise ParamsError(f"{root / RECIPE}: no round {name}; the recipe has {known}")
    dataset = read_dataset_folder(root / "data" / "datasets" / name)
    rows = pl.read_parquet(dataset.folder / "step_kto.parquet").with_row_index("row").cast({"row": pl.Int64})
    if dataset.is_chat:
        rows = rows.with_columns(pl.col("prompt").str.json_decode(MESSAGES))
    shards = list_shards(load(TablesParams, root / RECIPE, "tables").shard_digits)
    return ExportedRound(name, root, resolve(recipe, name), dataset, rows, shards)
