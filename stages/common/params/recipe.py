"""A whole recipe: all blocks, the rounds, and the params in force for each round after its overrides."""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, create_model, model_validator

from stages.common.params.block import ParamsBlock, ParamsError, read_yaml, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.problems import ProblemsParams
from stages.common.params.report import ReportParams
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.params.seed_model import SeedModelParams
from stages.common.params.select import SelectParams
from stages.common.params.split import SplitParams
from stages.common.params.tables import TablesParams
from stages.common.params.train import TrainParams
from stages.common.plugins import import_plugins

ROUND_BLOCKS: dict[str, type[BaseModel]] = {
    "sample": SampleParams,
    "outcome": OutcomeParams,
    "select": SelectParams,
    "split": SplitParams,
    "judge": JudgeParams,
    "dataset": DatasetParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
}
"""The blocks that a round may override, by name."""

SEED_POLICY = "M0"
"""The policy that no round makes; its resolved params are those that belong to no round."""


class Recipe(ParamsBlock):
    """All of params.yaml. Only `rounds`, and what has no sensible default, must be given."""

    seed: int = 1
    """Every other seed is derived from this one."""
    plugins: list[str] = Field(default_factory=list)
    """Python modules that register further judges, verifiers, engines or export formats; importable from here."""
    tables: TablesParams
    problems: ProblemsParams
    seed_model: SeedModelParams
    sample: SampleParams
    outcome: OutcomeParams
    select: SelectParams
    split: SplitParams
    judge: JudgeParams
    dataset: DatasetParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    runtime: RuntimeParams
    rounds: dict[str, dict[str, Any]]
    """Rounds by name: the policy each starts from, and its overrides of single keys of any block above."""

    @model_validator(mode="before")
    @classmethod
    def _fill_blocks(cls, value: Any) -> Any:
        blocks = {name for name, field in cls.model_fields.items() if isinstance(field.annotation, type(BaseModel))}
        return {**{name: {} for name in blocks}, **value} if isinstance(value, dict) else value


_RoundKeys = create_model(
    "_RoundKeys",
    __base__=ParamsBlock,
    policy=(str, ...),
    **{name: (dict[str, Any], Field(default_factory=dict)) for name in ROUND_BLOCKS},  # type: ignore[call-overload]
)
"""What a round's item may hold; the blocks are checked after merging."""


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
    """Round names, each after the round whose policy it starts from; raise `ParamsError` otherwise."""
    ordered: list[str] = []
    known = {SEED_POLICY}
    waiting = list(rounds)
    while waiting:
        ready = [name for name in waiting if rounds[name].get("policy") in known]
        if not ready:
            raise ParamsError(
                "\n".join(
                    f"rounds.{name}.policy: {rounds[name].get('policy')!r} is neither {SEED_POLICY} nor a round that "
                    "can be reached from it"
                    for name in waiting
                )
            )
        ordered.extend(ready)
        known.update(ready)
        waiting = [name for name in waiting if name not in known]
    return ordered


def resolve(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    """Params in force for round `name`, every default filled in and the round's overrides merged.

    A round has seed, plugins, tables, its policy and `ROUND_BLOCKS`. `SEED_POLICY` has what belongs to no round: every
    block before overrides, and the rounds as given; it is a recipe of its own. `runtime` is in neither.
    Raises `ParamsError` naming the key's path, below ``rounds.<name>`` for a round.
    """
    import_plugins(recipe.get("plugins"))
    if name == SEED_POLICY:
        return validate(Recipe, recipe, "").model_dump(mode="json", exclude={"runtime"})
    rounds = recipe.get("rounds")
    if not isinstance(rounds, dict) or name not in rounds:
        raise ParamsError(f"rounds.{name}: no such round; there are {', '.join(rounds or ()) or 'none'}")
    item = rounds[name]
    if not isinstance(item, dict):
        raise ParamsError(f"rounds.{name}: expected a mapping with policy and overrides, found {item!r}")
    validate(_RoundKeys, item, f"rounds.{name}")
    resolved: dict[str, Any] = {
        "seed": recipe.get("seed", 1),
        "plugins": recipe.get("plugins", []),
        "tables": validate(TablesParams, recipe.get("tables", {}), "tables").model_dump(mode="json"),
        "policy": item["policy"],
    }
    for key, block in ROUND_BLOCKS.items():
        value = merge(recipe.get(key) or {}, item.get(key) or {})
        resolved[key] = validate(block, value, f"rounds.{name}.{key}").model_dump(mode="json")
    return resolved


def _check_benchmarks(recipe: Recipe, name: str, benchmarks: dict[str, Any]) -> None:
    """Raise `ParamsError` for a benchmark of round `name` that problems would not be held against."""
    if recipe.problems.decontamination is None:
        return
    shared = recipe.evaluate.model_dump(mode="json")["benchmarks"]
    if others := [key for key, value in benchmarks.items() if value != shared.get(key)]:
        raise ParamsError(
            f"rounds.{name}.evaluate.benchmarks.{others[0]}: problems are held against the benchmarks that all rounds "
            "share; name it in evaluate.benchmarks, or set problems.decontamination to null"
        )


def read_recipe(path: Path) -> Recipe:
    """Read and check a whole recipe, each round included; raise `ParamsError` with all errors, a line each."""
    return check_recipe(read_yaml(path), path)


def check_recipe(params: dict[str, Any], path: Path) -> Recipe:
    """The recipe that `params`, read from `path`, hold; raise `ParamsError` with all errors, a line each."""
    errors: list[str] = []
    try:
        import_plugins(params.get("plugins"))
        recipe = validate(Recipe, params, "")
        for name in recipe.rounds:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name == SEED_POLICY:
                errors.append(f"rounds.{name}: a round's name is letters, digits, - and _, and not {SEED_POLICY}")
            try:
                _check_benchmarks(recipe, name, resolve(params, name)["evaluate"]["benchmarks"])
            except ParamsError as error:
                errors.extend(str(error).splitlines())
        if not errors:
            order_rounds(recipe.rounds)
    except ParamsError as error:
        errors.extend(str(error).splitlines())
    if errors:
        raise ParamsError("\n".join(f"{path}: {line}" for line in errors))
    return recipe
