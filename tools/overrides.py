"""Overrides of a recipe from the command line: ``problems.limit=100``, written into params.yaml, which DVC reads."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.common.errors import UsageError, describe_error
from stages.common.params.block import read_yaml
from stages.common.params.recipe import check_recipe


def set_params(recipe: Path, overrides: Sequence[str]) -> list[str]:
    """Set keys of `recipe` to YAML values, ``KEY=VALUE`` with dots in KEY, and return a line for each.

    Comments stay. The file is written only if the whole recipe is then valid: raises as `render_with_overrides`.
    """
    recipe.write_text(render_with_overrides(recipe, overrides), encoding="utf-8")
    return [f"{recipe}: {override}" for override in overrides]


def render_with_overrides(recipe: Path, overrides: Sequence[str]) -> str:
    """The text of `recipe` with keys set to YAML values, ``KEY=VALUE`` with dots in KEY; comments stay.

    Raises `ParamsError` if the recipe is then not valid, and `UsageError` for an override that has no key or is no
    YAML.
    """
    yaml = YAML()
    yaml.width = 120
    read_yaml(recipe)  # refuses what is no mapping
    value = yaml.load(recipe.read_text(encoding="utf-8"))
    for override in overrides:
        _set(value, override)
    text = io.StringIO()
    yaml.dump(value, text)
    check_recipe(YAML(typ="safe").load(text.getvalue()), recipe)
    return text.getvalue()


def _set(block: Any, override: str) -> None:
    key, equals, text = override.partition("=")
    *path, last = key.strip().split(".")
    if not (equals and last and all(path)):
        raise UsageError(f"--set {override}: expected KEY=VALUE, such as problems.limit=100")
    try:
        new = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise UsageError(f"--set {override}: the value is no YAML ({describe_error(error)})") from error
    for name in path:
        if not isinstance(block.get(name), dict):
            block[name] = {}
        block = block[name]
    block[last] = new
