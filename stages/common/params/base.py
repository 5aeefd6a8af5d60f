"""Reading a block of settings from YAML: strictly typed, unknown and missing keys refused by path."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class SettingsError(ValueError):
    """A settings file that cannot be used; the message is one line per fault, each with the key's path."""


class Block(BaseModel):
    """A block of settings: immutable, no unknown keys, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


B = TypeVar("B", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Parse a YAML mapping; raise `SettingsError` naming the file."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: expected a mapping of blocks, found {type(value).__name__}")
    return value


def _fields_at(block: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields valid beside the last part of `location`."""
    model: Any = block
    for part in location[:-1]:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return []
        annotation = fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if model is None:
            return []
    return list(getattr(model, "model_fields", {}))


def validate(block: type[B], value: Any, where: str) -> B:
    """Make a `block` of `value`; raise `SettingsError` with one line per fault, keys prefixed by `where`."""
    try:
        return block.model_validate(value)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            location = fault["loc"]
            path = ".".join([where, *map(str, location)]) if where else ".".join(map(str, location))
            if fault["type"] == "extra_forbidden":
                near = difflib.get_close_matches(str(location[-1]), _fields_at(block, location), n=1, cutoff=0.5)
                hint = f"; did you mean {near[0]}?" if near else f"; known here: {_fields_at(block, location)}"
                lines.append(f"{path}: unknown key{hint}")
            elif fault["type"] == "missing":
                lines.append(f"{path}: missing key")
            elif fault["type"] == "value_error":  # a block whose keys do not fit together: the message names them
                lines.append(f"{path}: {fault['msg'].removeprefix('Value error, ')}")
            else:
                lines.append(f"{path}: {fault['msg']}, found {fault['input']!r}")
        raise SettingsError("\n".join(lines)) from error


def load(block: type[B], path: Path, key: str) -> B:
    """Read the block under top-level `key` of the YAML file `path`."""
    settings = read_yaml(path)
    if key not in settings:
        raise SettingsError(f"{path}: {key}: missing key")
    try:
        return validate(block, settings[key], key)
    except SettingsError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def load_seed(path: Path) -> int:
    """The recipe's one seed, from which every other is derived."""
    seed = read_yaml(path).get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise SettingsError(f"{path}: seed: expected an integer, found {seed!r}")
    return seed
