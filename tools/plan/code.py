"""Which files of a changed folder of code differ from those that last ran.

dvc.lock holds one hash for a folder. The commit at which the folder had that hash tells its files; where there is none
(the stage ran on code that was never committed), only the folder can be named.
"""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from tools.dvc_files import hash_listing

COMMITS = 50
"""How far back to look."""

_IGNORED = {"__pycache__"}


def changed_files(root: Path, folder: str, locked: str) -> list[str]:
    """Files below `folder` that differ from those with DVC's hash `locked`; `folder` alone where they are not known."""
    now = {
        path.relative_to(root / folder).as_posix(): _md5(path.read_bytes())
        for path in (root / folder).rglob("*")
        if path.is_file() and not _IGNORED.intersection(path.parts)
    }
    then = _files_with_hash(root, folder, locked)
    if then is None:
        return [folder]
    return [f"{folder}/{name}" for name in sorted({*now, *then}) if now.get(name) != then.get(name)] or [folder]


@cache  # many stages depend on one folder
def _files_with_hash(root: Path, folder: str, locked: str) -> dict[str, str] | None:
    for commit in _git(root, "log", f"-{COMMITS}", "--format=%H", "--", folder).decode().split():
        files = {}
        for line in _git(root, "ls-tree", "-r", "-z", commit, "--", folder).decode().split("\0")[:-1]:
            blob, name = line.split("\t")
            files[Path(name).relative_to(folder).as_posix()] = _blob_md5(root, blob.split()[2])
        if hash_listing(files) == locked:
            return files
    return None


@cache  # most files are those of the commit before
def _blob_md5(root: Path, blob: str) -> str:
    return _md5(_git(root, "cat-file", "blob", blob))


def _git(root: Path, *arguments: str) -> bytes:
    """Output of a git command, empty where it fails or there is no git."""
    try:
        # The arguments are this module's own and paths of dvc.yaml; no shell is involved.
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
