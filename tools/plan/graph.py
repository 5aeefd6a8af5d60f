"""The stages as DVC sees them, as plain data: the one module that touches DVC's internals (written against 3.67).

It takes no lock, so that a plan can be made while a run is at work.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.errors import UserError, describe_error

RECIPE = "params.yaml"
"""The recipe in force: the file from which DVC fills the templates of dvc.yaml."""


@dataclass(frozen=True)
class StageState:
    """A stage of dvc.yaml, and how the files that it reads and writes differ from those that dvc.lock records."""

    name: str
    command: str
    module: str | None
    """What the command runs with ``python -m``."""
    params: dict[str, list[str]]
    """Tracked keys by params file; an empty list tracks the whole file."""
    deps: dict[str, tuple[str, ...]]
    """Paths that it reads, each with the stages that write at, above or below it."""
    outs: tuple[str, ...]
    changes: dict[str, str]
    """``{path: "changed" | "missing" | "not in cache"}`` of deps and outs that differ."""


def read_graph(root: Path = Path(), recipe: Path | None = None) -> list[StageState]:
    """All stages of the repository at `root`, each after those that it depends on.

    With `recipe` the graph is read as if that file lay at params.yaml; nothing is written. Raises `UserError` with
    DVC's message for a graph that DVC itself would refuse.
    """
    import networkx as nx

    with _open_repo(root, recipe) as repo:
        position = {stage: place for place, stage in enumerate(repo.index.stages)}
        flow = nx.lexicographical_topological_sort(repo.index.graph.reverse(), key=lambda stage: position[stage])
        makers = {_path(out, root): stage.name for stage in position for out in stage.outs}
        return [_read_stage(stage, makers, root) for stage in flow]


def stage_commands(root: Path = Path()) -> dict[str, str]:
    """The command of every stage by its name, as dvc.yaml and the recipe in force give it; raises `UserError`."""
    with _open_repo(root) as repo:
        return {stage.name: str(stage.cmd) for stage in repo.index.stages}


@contextmanager
def _open_repo(root: Path, recipe: Path | None = None) -> Iterator[Any]:
    """DVC's own view of `root`, with `recipe` read wherever it opens params.yaml."""
    from dvc.exceptions import DvcException
    from dvc.fs import LocalFileSystem
    from dvc.repo import Repo

    in_force, instead = (str(path.resolve()) for path in (root / RECIPE, recipe or root / RECIPE))

    class OtherRecipe(LocalFileSystem):  # type: ignore[misc, unused-ignore]
        def open(self, path: Any, mode: str = "r", **kwargs: Any) -> Any:
            return super().open(instead if os.path.realpath(path) == in_force else path, mode, **kwargs)

    try:
        yield Repo(str(root), fs=OtherRecipe() if recipe else LocalFileSystem())
    except DvcException as error:
        raise UserError(f"{root / 'dvc.yaml'}: {describe_error(error)}") from error


def _read_stage(stage: Any, makers: dict[str, str], root: Path) -> StageState:
    from dvc.dependency import ParamsDependency

    words = str(stage.cmd).split()
    tracked = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    read = [dep for dep in stage.deps if dep not in tracked]
    deps = {_path(dep, root): dep for dep in read}
    return StageState(
        name=stage.name,
        command=str(stage.cmd),
        module=words[words.index("-m") + 1] if "-m" in words else None,
        params={_path(dep, root): list(dep.params) for dep in tracked},
        deps={path: tuple(maker for out, maker in makers.items() if _overlap(path, out)) for path in deps},
        outs=tuple(_path(out, root) for out in stage.outs),
        changes={_path(entry, root): state for entry in (*read, *stage.outs) if (state := _read_state(entry))},
    )


def _read_state(entry: Any) -> str | None:
    state = next(iter(entry.status().values()), None)
    return {"modified": "changed", "deleted": "missing", "new": "missing"}.get(state, state) if state else None


def _path(entry: Any, root: Path) -> str:
    return Path(os.path.relpath(entry.fs_path, root.resolve())).as_posix()


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
