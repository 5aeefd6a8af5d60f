"""What the report is made from: the stages' reports on the policies that the recipe names."""

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.errors import UserError, describe_error
from stages.common.params.block import read_yaml
from stages.common.params.recipe import SEED_POLICY, Recipe, order_rounds, read_recipe, resolve

ROUND_STAGES = ("sample", "outcome", "select", "split", "judge", "dataset", "train", "evaluate")
"""Stages that report once per round, in the order in which data flows."""


@dataclass(frozen=True)
class PolicyReports:
    """A policy of the recipe, M0 or a round's, with the reports of its stages by stage (missing ones left out)."""

    name: str
    start_policy: str
    """The policy that its round starts from, empty for M0."""
    method: str
    """How it was trained, empty for M0."""
    depth: int
    """Rounds between M0 and this policy."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class StageReports:
    """Everything that the report shows."""

    recipe: Recipe
    problems: dict[str, Any]
    """Report of the problems stage, empty if it did not run."""
    policies: list[PolicyReports]
    """M0 first, each policy after the one that it starts from."""
    files: list[Path]
    """The files read."""


def read_stage_reports(recipe_path: Path, folder: Path) -> StageReports:
    """Read the reports of the recipe's rounds below `folder`; raise `UserError` naming a file that is no report."""
    recipe = read_recipe(recipe_path)
    settings = read_yaml(recipe_path)
    files: list[Path] = []

    def read(name: str, *stages: str) -> dict[str, dict[str, Any]]:
        paths = {stage: path for stage in stages if (path := folder / stage / f"{name}.json").is_file()}
        files.extend(paths.values())
        return {stage: _read_report(path) for stage, path in paths.items()}

    problems = read("all", "problems").get("problems", {})
    policies = {SEED_POLICY: PolicyReports(SEED_POLICY, "", "", 0, read(SEED_POLICY, "seed_model", "evaluate"))}
    for name in order_rounds(recipe.rounds):
        resolved = resolve(settings, name)
        start, method = resolved["policy"], resolved["train"]["method"]
        policies[name] = PolicyReports(name, start, method, policies[start].depth + 1, read(name, *ROUND_STAGES))
    return StageReports(recipe, problems, list(policies.values()), files)


def _read_report(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a stage's report ({describe_error(error)})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a stage's report: expected an object, found {type(value).__name__}")
    return value


def get_value(report: Any, *keys: str) -> Any:
    """The value in `report` under the path `keys`, None if a key is missing."""
    for key in keys:
        if not isinstance(report, dict):
            return None
        report = report.get(key)
    return report


def get_dict(report: Any, *keys: str) -> dict[str, Any]:
    """The mapping in `report` under the path `keys`, empty if there is none."""
    value = get_value(report, *keys)
    return value if isinstance(value, dict) else {}


def get_number(report: Any, *keys: str) -> float | None:
    """The finite number in `report` under the path `keys`, None if there is none."""
    value = get_value(report, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def get_count(report: Any, *keys: str) -> int | None:
    """The number in `report` under the path `keys` as an integer, None if there is none."""
    value = get_number(report, *keys)
    return None if value is None else round(value)


def list_majority_ks(policies: list[PolicyReports]) -> list[int]:
    """The k of every Maj@k in the reports, the most frequent first; 8, the paper's, if there is none."""
    ks = Counter(
        int(name.removeprefix("maj_at_"))
        for policy in policies
        for name in get_dict(policy.reports, "evaluate", "metrics")
        if name.startswith("maj_at_") and name.removeprefix("maj_at_").isdecimal()
    )
    return sorted(ks, key=lambda k: (-ks[k], k)) or [8]


def list_variants(policies: list[PolicyReports]) -> list[list[PolicyReports]]:
    """The policies as chains of rounds: the first round that starts from a policy continues its chain, others branch.

    A branch begins with the policy that it starts from, so that it can be drawn as a line.
    """
    by_name = {policy.name: policy for policy in policies}
    chains: list[list[PolicyReports]] = [policies[:1]]
    for policy in policies[1:]:
        chain = next((chain for chain in chains if chain[-1].name == policy.start_policy), None)
        if chain is None:
            chains.append([by_name[policy.start_policy], policy])
        else:
            chain.append(policy)
    return chains
