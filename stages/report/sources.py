"""What the report is made from: the reports of the stages, for the models that the recipe names and no others."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.params.block import read_yaml
from stages.common.params.recipe import SEED_POLICY, Recipe, order_rounds, read_recipe, resolve

ROUND_STAGES = ("sample", "split", "judge", "outcome", "dataset", "train", "evaluate")
"""Stages that report once per round, in the order in which data flows."""

STAGES = ("problems", "seed_model", *ROUND_STAGES)


@dataclass(frozen=True)
class Model:
    """A model of the recipe: M0, or what a round made, with its stages' reports by stage (absent ones left out)."""

    name: str
    policy: str
    """The policy that its round started from, empty for M0."""
    method: str
    """How it was trained, empty for M0."""
    depth: int
    """Rounds between M0 and this model."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sources:
    """Everything that the report shows."""

    recipe: Recipe
    problems: dict[str, Any]
    """Report of the problems stage, empty where it did not run."""
    models: list[Model]
    """M0 first, each after the model that it started from."""
    files: list[Path]
    """The reports read."""


def read_sources(recipe_path: Path, stages: Path) -> Sources:
    """Read the reports that belong to the recipe's rounds.

    A report that is not there is absent: its stage did not run. Raises `ValueError` naming a file that is no report.
    """
    recipe = read_recipe(recipe_path)
    settings = read_yaml(recipe_path)
    files: list[Path] = []

    def read(stage: str, name: str) -> dict[str, Any]:
        path = stages / stage / f"{name}.json"
        report = _read(path)
        if report:
            files.append(path)
        return report

    problems = read("problems", "all")
    reports = {stage: read(stage, SEED_POLICY) for stage in ("seed_model", "evaluate")}
    models = {SEED_POLICY: Model(SEED_POLICY, "", "", 0, {stage: r for stage, r in reports.items() if r})}
    for name in order_rounds(recipe.rounds):
        resolved = resolve(settings, name)
        reports = {stage: read(stage, name) for stage in ROUND_STAGES}
        depth = models[resolved["policy"]].depth + 1
        method = resolved["train"]["method"]
        models[name] = Model(name, resolved["policy"], method, depth, {stage: r for stage, r in reports.items() if r})
    return Sources(recipe, problems, list(models.values()), files)


def _read(path: Path) -> dict[str, Any]:
    """A stage's report, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a stage's report ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: not a stage's report: expected an object, found {type(value).__name__}")
    return value


def at(report: Any, *keys: str) -> Any:
    """What lies in `report` under `keys`, null where a key is absent."""
    for key in keys:
        if not isinstance(report, dict):
            return None
        report = report.get(key)
    return report


def number(report: Any, *keys: str) -> float | None:
    """The finite number in `report` under `keys`, null where there is none."""
    value = at(report, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def count(report: Any, *keys: str) -> int | None:
    """The whole number in `report` under `keys`, null where there is none."""
    value = number(report, *keys)
    return None if value is None else round(value)


def majorities(models: list[Model]) -> list[int]:
    """The k of every Maj@k measured, the most used first; 8, the paper's, where none was."""
    measured = [at(model.reports, "evaluate", "metrics") for model in models]
    found = Counter(
        int(name.removeprefix("maj_at_"))
        for metrics in measured
        if isinstance(metrics, dict)
        for name in metrics
        if name.startswith("maj_at_") and name.removeprefix("maj_at_").isdecimal()
    )
    return sorted(found, key=lambda k: (-found[k], k)) or [8]


def arms(models: list[Model]) -> list[list[Model]]:
    """The rounds as chains: the first round that starts from a model goes on in its chain, each other opens a new one.

    A new chain begins with the model that it started from, so that it can be drawn as a line.
    """
    by_name = {model.name: model for model in models}
    chains: list[list[Model]] = [models[:1]]
    for model in models[1:]:
        going_on = next((chain for chain in chains if chain[-1].name == model.policy), None)
        if going_on is None:
            chains.append([by_name[model.policy], model])
        else:
            going_on.append(model)
    return chains
