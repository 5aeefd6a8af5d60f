"""A whole recipe: all blocks, the rounds, and what each round's settings are after its overrides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from stages.common.params.base import Block, SettingsError, read_yaml, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.problems import ProblemsParams
from stages.common.params.records import RecordsParams
from stages.common.params.report import ReportParams
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.params.seed_model import SeedModelParams
from stages.common.params.split import SplitParams
from stages.common.params.train import TrainParams

ROUND_BLOCKS: dict[str, type[BaseModel]] = {
    "sample": SampleParams,
    "split": SplitParams,
    "judge": JudgeParams,
    "outcome": OutcomeParams,
    "dataset": DatasetParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
}
"""The blocks that a round may override, by name."""

SEED_POLICY = "M0"


class Recipe(Block):
    """All of params.yaml."""

    seed: int
    records: RecordsParams
    problems: ProblemsParams
    seed_model: SeedModelParams
    sample: SampleParams
    split: SplitParams
    judge: JudgeParams
    outcome: OutcomeParams
    dataset: DatasetParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    runtime: RuntimeParams
    rounds: dict[str, dict[str, Any]]


def merge(shared: Any, override: Any) -> Any:
    """`override` laid over `shared`, mappings key by key, anything else replaced."""
    if isinstance(shared, dict) and isinstance(override, dict):
        return {
            key: merge(shared[key], override[key])
            if key in shared and key in override
            else override.get(key, shared.get(key))
            for key in {**shared, **override}
        }
    return override


def order_rounds(rounds: dict[str, Any]) -> list[str]:
    """Round names, each after the round whose policy it starts from; raise `SettingsError` otherwise."""
    ordered: list[str] = []
    known = {SEED_POLICY}
    waiting = list(rounds)
    while waiting:
        ready = [name for name in waiting if rounds[name].get("policy") in known]
        if not ready:
            faults = [
                f"rounds.{name}.policy: {rounds[name].get('policy')!r} is neither {SEED_POLICY} nor a round that "
                "can be reached from it"
                for name in waiting
            ]
            raise SettingsError("\n".join(faults))
        ordered.extend(ready)
        known.update(ready)
        waiting = [name for name in waiting if name not in known]
    return ordered


def resolve(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Settings in force for round `name`: seed, records, its policy, and every round block after its overrides.

    Raises `SettingsError` naming the key's path below ``rounds.<name>``.
    """
    rounds = settings.get("rounds")
    if not isinstance(rounds, dict) or name not in rounds:
        raise SettingsError(f"rounds.{name}: missing key")
    item = rounds[name]
    if not isinstance(item, dict):
        raise SettingsError(f"rounds.{name}: expected a mapping with policy and overrides, found {item!r}")
    validate(_RoundKeys, item, f"rounds.{name}")
    resolved: dict[str, Any] = {"seed": settings["seed"], "records": settings["records"], "policy": item["policy"]}
    for key, block in ROUND_BLOCKS.items():
        value = merge(settings[key], item.get(key) or {})
        resolved[key] = validate(block, value, f"rounds.{name}.{key}").model_dump(mode="json")
    return resolved


class _RoundKeys(Block):
    """What a round's item may hold; the blocks are checked after merging."""

    policy: str
    sample: dict[str, Any] = Field(default_factory=dict)
    split: dict[str, Any] = Field(default_factory=dict)
    judge: dict[str, Any] = Field(default_factory=dict)
    outcome: dict[str, Any] = Field(default_factory=dict)
    dataset: dict[str, Any] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    evaluate: dict[str, Any] = Field(default_factory=dict)


def check(path: Path) -> Recipe:
    """Read and check a whole recipe, each round included; raise `SettingsError` with all faults, a line each."""
    settings = read_yaml(path)
    faults: list[str] = []
    try:
        recipe = validate(Recipe, settings, "")
        for name in recipe.rounds:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name == SEED_POLICY:
                faults.append(f"rounds.{name}: a round's name is letters, digits, - and _, and not {SEED_POLICY}")
            try:
                resolve(settings, name)
            except SettingsError as error:
                faults.extend(str(error).splitlines())
        if not faults:
            order_rounds(recipe.rounds)
    except SettingsError as error:
        faults.extend(str(error).splitlines())
    if faults:
        raise SettingsError("\n".join(f"{path}: {line}" for line in faults))
    return recipe
