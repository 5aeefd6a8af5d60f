"""The stages as DVC sees them: the one module that touches DVC's internals (written against 3.67).

Everything that leaves this module is plain data, so that a change in DVC is mended here and nowhere else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECIPE = "params.yaml"
"""The recipe in force: the file from which DVC fills the templates of dvc.yaml."""


@dataclass(frozen=True)
class Dep:
    """A file or folder that a stage reads."""

    path: str
    """Relative to the repository's root."""
    change: str | None
    """How it differs from what dvc.lock names: "changed", "missing", "new", or None where it does not."""
    locked: str | None
    """Its MD5 in dvc.lock (ends in ".dir" for a folder), None where there is none."""
    made_by: tuple[str, ...]
    """Stages whose outputs lie at, above or below `path`."""


@dataclass(frozen=True)
class Stage:
    """A stage, and how the work tree differs from the run that dvc.lock records."""

    name: str
    module: str | None
    """The package that its command runs, such as ``stages.train``."""
    recorded: bool
    """Whether dvc.lock has this stage at all."""
    command_changed: bool
    params: dict[str, list[str]]
    """Tracked keys by settings file; an empty list tracks the whole file."""
    locked_params: dict[str, dict[str, Any]]
    """Values of the tracked keys in dvc.lock, by settings file."""
    deps: tuple[Dep, ...]
    outs: dict[str, str | None]
    """State of every output: "missing", "changed", "not in cache", or None where it is as recorded."""


def read_graph(root: Path = Path(), recipe: Path | None = None) -> list[Stage]:
    """All stages of the repository at `root`, each after those that it depends on.

    With `recipe` the graph is read as if that file lay at params.yaml; nothing is written. Raises `ValueError` with
    DVC's message for a graph that DVC itself would refuse.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root), fs=_filesystem(root, recipe))
        graph = repo.index.graph  # edges lead from a stage to those that it depends on
        ordered = _along_the_flow(repo.index.stages, graph)
        return [_stage(stage, list(graph.successors(stage)), Path(repo.root_dir)) for stage in ordered]
    except DvcException as error:
        raise ValueError(f"{root / 'dvc.yaml'}: {' '.join(str(error).split())}") from error


def stage_commands(root: Path = Path()) -> dict[str, str]:
    """The command of every stage by its name, as dvc.yaml and the recipe in force give it.

    Raises `ValueError` with DVC's message for a graph that DVC itself would refuse.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return {_name(stage): str(stage.cmd) for stage in Repo(str(root)).index.stages}
    except DvcException as error:
        raise ValueError(f"{root / 'dvc.yaml'}: {' '.join(str(error).split())}") from error


def _along_the_flow(stages: list[Any], graph: Any) -> list[Any]:
    """`stages` as dvc.yaml orders them, but each after those that it depends on."""
    ordered: list[Any] = []
    waiting = list(stages)
    while waiting:
        ready = next(stage for stage in waiting if set(graph.successors(stage)).issubset(ordered))
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _filesystem(root: Path, recipe: Path | None) -> Any:
    """The local file system, with `recipe` read wherever DVC opens params.yaml."""
    from dvc.fs import LocalFileSystem

    if recipe is None:
        return LocalFileSystem()
    in_force, instead = str((root / RECIPE).resolve()), str(recipe.resolve())

    class OtherRecipe(LocalFileSystem):  # type: ignore[misc, unused-ignore]
        def open(self, path: Any, mode: str = "r", **kwargs: Any) -> Any:
            return super().open(instead if os.path.realpath(path) == in_force else path, mode, **kwargs)

    return OtherRecipe()


def _stage(stage: Any, before: list[Any], root: Path) -> Stage:
    from dvc.dependency import ParamsDependency

    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    locked = {_path(dep, root): dict(dep.hash_info.value or {}) for dep in params}
    others = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    recorded = any(entry.hash_info for entry in (*stage.deps, *stage.outs))
    return Stage(
        name=_name(stage),
        module=_module(stage.cmd),
        recorded=recorded,
        command_changed=bool(recorded and stage.cmd_changed),
        params={_path(dep, root): list(dep.params) for dep in params},
        locked_params=locked,
        deps=tuple(_dep(dep, before, root, recorded) for dep in others),
        outs={_path(out, root): _out_state(out) if recorded else None for out in stage.outs},
    )


def _dep(dep: Any, before: list[Any], root: Path, recorded: bool) -> Dep:
    words = {"modified": "changed", "deleted": "missing"}
    state = next(iter(dep.status().values()), None) if recorded else None
    path = _path(dep, root)
    made_by = sorted(_name(s) for s in before if any(_overlap(path, _path(out, root)) for out in s.outs))
    return Dep(path, words.get(state, state) if state else None, dep.hash_info.value, tuple(made_by))


def _out_state(out: Any) -> str | None:
    state = next(iter(out.status().values()), None)
    return {"modified": "changed", "deleted": "missing", "new": "missing"}.get(state, state) if state else None


def _name(stage: Any) -> str:
    return str(getattr(stage, "name", None) or stage.addressing)


def _path(entry: Any, root: Path) -> str:
    return Path(os.path.relpath(entry.fs_path, root)).as_posix()


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _module(command: Any) -> str | None:
    words = command.split() if isinstance(command, str) else []
    return words[words.index("-m") + 1] if "-m" in words[:-1] else None
