"""Hashes of the local files that a recipe names: stage `params` writes them, so that a changed file runs its stage."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from stages.common.lock_copy import replace_text
from stages.common.params.block import FILE_HASHES, LOCAL_FILE, LOCAL_MODEL, ParamsError, read_yaml
from stages.common.params.recipe import Recipe
from stages.common.policies import CARD, MANIFEST
from stages.common.provenance import compute_sha256, hash_manifest

CACHE = Path("work/file_hashes.json")
"""Hashes of files by path, each with the size and time of the file that had it; may be deleted at any time."""


class FileHasher:
    """Hashes files and folders below `root`, each again only where its size or time has changed, or `reads_all`."""

    def __init__(self, root: Path = Path(), reads_all: bool = False) -> None:
        self._root = root
        try:
            self._known: dict[str, list[Any]] = json.loads((root / CACHE).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # absent, or torn: it only saves time
            self._known = {}
        if reads_all:
            self._known = {}
        self._has_new = False

    def hash(self, path: str) -> str | None:
        """SHA-256 of a file's bytes, or one hash of a folder's files, without a model's card and manifest.

        For a path at which nothing is now, None.
        """
        place = self._root / path
        if not place.is_dir():
            return self._hash_file(place) if place.is_file() else None
        files = {file.relative_to(place).as_posix(): file for file in sorted(place.rglob("*")) if file.is_file()}
        return hash_manifest(
            {name: self._hash_file(file) for name, file in files.items() if name not in (CARD, MANIFEST)}
        )

    def save(self) -> None:
        """Keep the hashes for the next process."""
        if self._has_new:
            with suppress(OSError):  # where nothing can be written, the next process reads the files again
                replace_text(self._root / CACHE, json.dumps(self._known))

    def _hash_file(self, path: Path) -> str:
        state, name = path.stat(), str(path.resolve())
        stamp = [state.st_size, state.st_mtime_ns]
        if self._known.get(name, [])[:2] != stamp:
            self._known[name], self._has_new = [*stamp, compute_sha256(path)], True
        return str(self._known[name][2])


def add_file_hashes(resolved: dict[str, Any], hasher: FileHasher) -> dict[str, Any]:
    """`resolved`, as `resolve` gives it, with `FILE_HASHES` in each block that names local files: ``{path: hash}``.

    The hash of a file that is missing is None: the stage that reads it says so.
    """
    for key, field in Recipe.model_fields.items():
        block = field.annotation
        if key in resolved and isinstance(block, type) and issubclass(block, BaseModel):
            hashes = {}
            for path, mark in list_local_paths(block.model_validate(resolved[key])):
                if (digest := hasher.hash(path)) is not None or mark == LOCAL_FILE:
                    hashes[path] = digest
            if hashes:
                resolved[key] = {**resolved[key], FILE_HASHES: hashes}
    return resolved


def list_local_paths(block: BaseModel) -> Iterator[tuple[str, str]]:
    """Every path that a field of `block`, at any depth, may name on this machine, with the field's mark."""
    for name, field in type(block).model_fields.items():
        mark = next(iter(_list_marks(field.annotation, field.metadata)), None)
        value = getattr(block, name)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                yield from list_local_paths(item)
            elif mark is not None and item is not None:
                yield item, mark
    for item in (block.model_extra or {}).values():  # the params of a plugin's kind
        if isinstance(item, BaseModel):
            yield from list_local_paths(item)


def find_changed_files(written: Path, hasher: FileHasher) -> set[str]:
    """Local files with another hash than the one in `written`, a file of stage `params`; those missing now left out."""
    try:
        blocks = [block for block in read_yaml(written).values() if isinstance(block, dict)]
    except ParamsError:  # damaged: DVC itself runs the stage again
        return set()
    known = {path: digest for block in blocks for path, digest in (block.get(FILE_HASHES) or {}).items()}
    return {path for path, digest in known.items() if hasher.hash(path) not in (None, digest)}


def _list_marks(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    """Marks of a field's type, and of the items of a list."""
    yield from (mark for mark in metadata if mark in (LOCAL_FILE, LOCAL_MODEL))
    for part in get_args(annotation):
        yield from _list_marks(part, list(getattr(part, "__metadata__", ())))
