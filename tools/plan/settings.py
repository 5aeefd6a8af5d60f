"""The settings that a run would see, against those that dvc.lock records.

Stage `params` writes the files that all other stages track. Before it has run, they are out of date: their content is
computed here, by the code that writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.common.params.block import read_yaml
from stages.common.params.recipe import SEED_POLICY, resolve
from tools.plan.graph import RECIPE, Stage

RESOLVER = "stages.common.params"
"""The module whose stages write settings files."""

_ABSENT = object()


class WouldBe:
    """Content of every settings file once the recipe, which must be valid, is in force and resolved."""

    def __init__(self, stages: list[Stage], root: Path = Path(), recipe: Path | None = None) -> None:
        source = recipe or root / RECIPE
        self._root = root
        self._files: dict[str, dict[str, Any]] = {RECIPE: read_yaml(source)}
        folders = [folder for stage in stages if stage.module == RESOLVER for folder in stage.outs]
        for name in (SEED_POLICY, *self._files[RECIPE].get("rounds", {})):
            self._files.update({f"{folder}/{name}.yaml": resolve(self._files[RECIPE], name) for folder in folders})

    def read(self, file: str) -> dict[str, Any]:
        """Content of `file`, empty where it does not exist."""
        if file not in self._files:
            path = self._root / file
            self._files[file] = read_yaml(path) if path.is_file() else {}
        return self._files[file]

    def changes(self, stage: Stage) -> list[str]:
        """One line per tracked value that differs: ``train.beta 5.0 -> 1.0``."""
        lines: list[str] = []
        for file, keys in stage.params.items():
            content, locked = self.read(file), stage.locked_params.get(file, {})
            for key in keys or sorted({*content, *locked}):
                lines.extend(_differences(key, locked.get(key, _ABSENT), _lookup(content, key)))
        return lines


def _lookup(content: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return _ABSENT
        content = content[part]
    return content


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            yield from _differences(f"{path}.{key}", old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif old is not _ABSENT and new is _ABSENT:
        yield f"{path} {_show(old)} -> gone"
    elif old is _ABSENT and new is not _ABSENT:
        yield f"{path} -> {_show(new)}"
    elif old != new:
        yield f"{path} {_show(old)} -> {_show(new)}"


def _show(value: Any, width: int = 40) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
