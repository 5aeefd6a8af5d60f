"""Params in force as commented YAML: every key with its value and, above it, its docstring."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from stages.common.params.block import read_yaml
from stages.common.params.recipe import SEED_POLICY, Recipe, check_recipe, resolve

WIDTH = 100
"""Columns of a comment line."""


def show_params(path: Path, name: str = SEED_POLICY) -> str:
    """What is in force in the recipe at `path`: for round `name` after its overrides, else for the recipe as a whole.

    The text is itself a valid params file. Raises `ParamsError` where the recipe is not valid.
    """
    params = read_yaml(path)
    recipe = check_recipe(params, path)
    if name == SEED_POLICY:
        return "\n".join(_render_block(recipe, "")) + "\n"
    resolved = resolve(params, name)
    lines: list[str] = []
    for key, field in Recipe.model_fields.items():
        if key in resolved:
            block = field.annotation
            is_block = isinstance(block, type) and issubclass(block, BaseModel)
            value = block.model_validate(resolved[key]) if is_block else resolved[key]  # type: ignore[union-attr]
            lines += _render_field(key, value, field.description, "")
    return "\n".join([f"policy: {resolved['policy']}", *lines]) + "\n"


def _render_block(block: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(block).model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        yield from _render_field(name, getattr(block, name), field.description or _first_lines(model), indent)
    for name, value in (block.model_extra or {}).items():
        yield from _render_field(name, value, _first_lines(type(value)), indent)


def _first_lines(model: type | None) -> str:
    """The first paragraph of a block's docstring, for a field that has none of its own."""
    is_block = model is not None and issubclass(model, BaseModel)
    return (model.__doc__ or "").strip().partition("\n\n")[0] if is_block else ""


def _render_field(name: str, value: Any, description: str | None, indent: str) -> Iterator[str]:
    description = description or _first_lines(type(value))
    text = " ".join((description or "").split())
    yield from textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    if isinstance(value, BaseModel):
        yield f"{indent}{name}:"
        yield from _render_block(value, indent + "  ")
    elif isinstance(value, dict) and any(isinstance(item, BaseModel | dict) for item in value.values()):
        yield f"{indent}{name}:"
        for key, item in value.items():
            yield from _render_field(str(key), item, "", indent + "  ")
    else:
        if isinstance(value, list):
            value = [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in value]
        flow = yaml.safe_dump({name: value}, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
        yield indent + flow.strip()[1:-1]
