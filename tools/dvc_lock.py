"""dvc.lock as plain data: what each stage ran with, read and wrote. The one reader that audit and plan share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.common.errors import UserError
from stages.common.params.recipe import SEED_POLICY
from tools.git import read_file_at, resolve_commit

LOCK = "dvc.lock"


@dataclass(frozen=True)
class LockEntry:
    """One stage of dvc.lock. `deps` and `outs` are {path: md5}; the md5 of a folder ends in ``.dir``."""

    name: str
    command: str
    params: dict[str, dict[str, Any]]
    """Values of the tracked keys, by params file."""
    deps: dict[str, str]
    outs: dict[str, str]

    @property
    def tracked_params(self) -> dict[str, Any]:
        """Values of all tracked keys, whichever file holds them; ``sample.prompt`` stays one key."""
        return {key: value for values in self.params.values() for key, value in values.items()}


Lock = dict[str, LockEntry]
"""The stages of a dvc.lock by name (``judge@M1``)."""


def read_lock(root: Path, revision: str | None = None) -> Lock:
    """The lock in the working tree, or that of a Git revision.

    Raises `FileNotFoundError` where the working tree has none, and `UserError` for an unknown revision, one
    without a lock, and a file that is not a lock.
    """
    path = root / LOCK
    if revision is not None:
        text = read_file_at(root, resolve_commit(root, revision), LOCK)
        if text is None:
            raise UserError(f"{revision}: has no {LOCK}")
        return parse_lock(text, f"{revision}:{LOCK}")
    if not path.is_file():
        raise UserError(f"{path}: missing; run `dvc repro` to write it or `git checkout` to restore it")
    return parse_lock(path.read_bytes(), str(path))


def parse_lock(text: str | bytes, where: str) -> Lock:
    """The lock in `text`; raises `UserError` beginning with `where`."""
    try:
        value = parse_yaml(text)
    except (YAMLError, ValueError) as error:
        raise UserError(f"{where}: not a dvc.lock ({' '.join(repr(error).split())})") from error
    return build_lock(value, where)


def build_lock(value: Any, where: str) -> Lock:
    """The lock in the parsed text of a dvc.lock; raises `UserError` beginning with `where`."""
    try:
        return {str(name): _parse_entry(str(name), stage) for name, stage in value["stages"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{where}: not a dvc.lock ({' '.join(repr(error).split())})") from error


def parse_yaml(text: str | bytes) -> Any:
    """YAML 1.2, as DVC reads and writes it: 1e-06 is a number there, which PyYAML reads as text.

    Raises `YAMLError`.
    """
    return YAML(typ="safe").load(text)


def _parse_entry(name: str, stage: dict[str, Any]) -> LockEntry:
    return LockEntry(
        name,
        str(stage["cmd"]),
        {str(file): dict(values) for file, values in (stage.get("params") or {}).items()},
        {str(dep["path"]): str(dep["md5"]) for dep in stage.get("deps") or []},
        {str(out["path"]): str(out["md5"]) for out in stage.get("outs") or []},
    )


def name_stage(stage: str, policy: str) -> str:
    """DVC's name of the `stage` that makes or evaluates a policy: M0 by itself, others in their round."""
    if policy == SEED_POLICY:
        return "evaluate_seed" if stage == "evaluate" else stage
    return f"{stage}@{policy}"


def find_producers(lock: Lock) -> dict[str, str]:
    """The stage that writes each output path."""
    return {path: entry.name for entry in lock.values() for path in entry.outs}


def find_output(lock: Lock, path: str) -> tuple[LockEntry, str] | None:
    """The stage that writes `path` (relative to the root, with slashes) or a folder above it, and that output."""
    for entry in lock.values():
        for out in entry.outs:
            if path == out or path.startswith(f"{out}/"):
                return entry, out
    return None


def find_lineage(lock: Lock, stages: Iterable[str]) -> list[str]:
    """`stages` and all those whose outputs they were made from, at any distance, in the order of the lock."""
    found, rest = set(), [name for name in stages if name in lock]
    while rest:
        name = rest.pop()
        found.add(name)
        inputs = [*lock[name].deps, *lock[name].params]
        makers = {maker[0].name for path in inputs if (maker := find_output(lock, path))}
        rest += sorted(makers - found)
    return [name for name in lock if name in found]


def find_descendants(lock: Lock, stages: Iterable[str]) -> set[str]:
    """`stages` and all those made from their data or models, at any distance."""
    found = set(stages)
    producers = {path: name for path, name in find_producers(lock).items() if path.startswith(("data/", "models/"))}
    readers = {name: {producers[path] for path in entry.deps if path in producers} for name, entry in lock.items()}
    while more := {name for name, makers in readers.items() if makers & found} - found:
        found |= more
    return found


def flatten_params(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested params as pairs such as ``("judge.num_votes", 3)``."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten_params(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
