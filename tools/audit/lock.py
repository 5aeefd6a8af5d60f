"""dvc.lock as plain data: what each stage ran with, what it read and what it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

LOCK = "dvc.lock"


@dataclass(frozen=True)
class Entry:
    """One stage of dvc.lock. `deps` and `outs` are {path: md5}, the md5 of a folder ends in ``.dir``."""

    name: str
    command: str
    params: dict[str, dict[str, Any]]
    """Values of the tracked keys, by settings file."""
    deps: dict[str, str]
    outs: dict[str, str]

    @property
    def settings(self) -> dict[str, Any]:
        """The values that the stage tracked, whichever file they were in; ``sample.prompt`` stays one key."""
        return {key: value for values in self.params.values() for key, value in values.items()}


Lock = dict[str, Entry]
"""The stages of a dvc.lock by name (``judge@M1``)."""


def read_lock(root: Path) -> Lock:
    """The lock in force; raises `FileNotFoundError` where nothing ran yet and `ValueError` for what is no lock."""
    path = root / LOCK
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; `dvc repro` writes it, `git checkout` brings one back")
    return parse_lock(path.read_text(encoding="utf-8"), str(path))


def parse_lock(text: str, where: str) -> Lock:
    """The lock in `text`; raises `ValueError` beginning with `where`."""
    try:
        stages = read_yaml_text(text)["stages"]
        return {str(name): _entry(str(name), stage) for name, stage in stages.items()}
    except (YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{where}: not a dvc.lock ({' '.join(repr(error).split())})") from error


def read_yaml_text(text: str) -> Any:
    """YAML as DVC reads and writes it, by version 1.2: there 1e-06 is a number, which PyYAML takes for text.

    Raises `YAMLError`.
    """
    return YAML(typ="safe").load(text)


def _entry(name: str, stage: dict[str, Any]) -> Entry:
    return Entry(
        name,
        str(stage["cmd"]),
        {str(file): dict(values) for file, values in (stage.get("params") or {}).items()},
        {str(dep["path"]): str(dep["md5"]) for dep in stage.get("deps") or []},
        {str(out["path"]): str(out["md5"]) for out in stage.get("outs") or []},
    )


def producers(lock: Lock) -> dict[str, str]:
    """The stage that writes each output path."""
    return {path: entry.name for entry in lock.values() for path in entry.outs}


def containing(lock: Lock, path: str) -> tuple[Entry, str] | None:
    """The stage that writes `path` (relative to the root, with slashes) or a folder above it, and that output."""
    for entry in lock.values():
        for out in entry.outs:
            if path == out or path.startswith(f"{out}/"):
                return entry, out
    return None


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings as ``("judge.flip", 0.0)``."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
