"""What Git still knows of the files that dvc.lock names."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

from tools.plan import folder_hash

DEPTH = 50
"""Commits of a folder that are searched for one of its states."""


def git(root: Path, *arguments: str) -> bytes | None:
    """What a Git command prints in the repository at `root`, None where it fails or there is no Git."""
    try:
        # Arguments are this package's own, and a revision that the user gives after its --end-of-options.
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def commit_of(root: Path, revision: str) -> str:
    """The commit that `revision` names; raises `ValueError` where it names none."""
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        raise ValueError(f"{revision}: names no commit of this repository")
    return found.decode().strip()


def file_at(root: Path, commit: str, path: str) -> str | None:
    """The text of a file in a commit, None where it has none."""
    found = git(root, "show", f"{commit}:./{path}")
    return None if found is None else found.decode("utf-8", "replace")


def last_commit(root: Path, path: str) -> str | None:
    """The last commit that changed `path`, as one line: short hash, date, subject."""
    found = git(root, "log", "-n1", "--format=%h %cs %s", "--", path)
    return found.decode("utf-8", "replace").strip() or None if found is not None else None


def committed_folder(root: Path, path: str, md5: str) -> dict[str, str] | None:
    """``{path below the folder: md5}`` of the committed state of `path` that has DVC's hash `md5`, None if none has."""
    found = git(root, "log", f"-n{DEPTH}", "--format=%H", "--", path)
    for commit in (found or b"").decode().split():
        listed = _folder_at(root, commit, path)
        if folder_hash(listed) == md5:
            return listed
    return None


def _folder_at(root: Path, commit: str, path: str) -> dict[str, str]:
    archive = git(root, "archive", commit, path)
    if archive is None:
        return {}
    listed = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                name = PurePosixPath(member.name).relative_to(path).as_posix()
                listed[name] = hashlib.md5(content.read(), usedforsecurity=False).hexdigest()
    return listed
