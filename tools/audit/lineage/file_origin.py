"""From a file to what made it: its hash, the entry of dvc.lock, the commit, the settings, the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.policies import MANIFEST
from stages.common.provenance import file_sha256
from tools.dvc_files import hash_file, read_cached_listing
from tools.dvc_lock import LOCK, Lock, LockEntry, find_output
from tools.git import describe_last_commit, run_git

SHOWN_PACKAGES = ("torch", "transformers", "polars", "math-verify")
"""Packages named on screen; the stage's report holds all of them."""


@dataclass(frozen=True)
class Origin:
    """A file of the repository and what is recorded about it; `path` is relative to the root."""

    path: Path
    sha256: str
    manifest: str | None
    """What the manifest beside it says, None where it names no such file."""
    stage: str | None
    """The stage that wrote it, None where dvc.lock names none."""
    recorded: str
    """What dvc.lock says of its bytes."""


def origin_of(root: Path, lock: Lock, cache: Path | None, path: Path) -> Origin:
    """The origin of the file at `path`; raises `FileNotFoundError`."""
    if not (root / path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    sha256 = file_sha256(root / path)
    listed = _listed(root / path.parent / MANIFEST).get(path.name)
    manifest = None if listed is None else "as its manifest says" if listed == sha256 else f"manifest says {listed}"
    made = find_output(lock, path.as_posix())
    if made is None:
        return Origin(path, sha256, manifest, None, "not an output of any stage")
    entry, out = made
    return Origin(path, sha256, manifest, entry.name, _compare(root, cache, path, out, entry.outs[out]))


def _compare(root: Path, cache: Path | None, path: Path, out: str, md5: str) -> str:
    if md5.endswith(".dir"):
        listed = read_cached_listing(cache, md5)
        if listed is None:
            return f"md5 of {out} {md5}; its listing is not in the cache"
        md5 = listed.get(path.relative_to(out).as_posix(), "")
    found = hash_file(root / path)
    return f"md5 {found} as dvc.lock says" if found == md5 else f"md5 {found}; dvc.lock says {md5 or 'no such file'}"


def commit_line(root: Path) -> str:
    """The commit that holds dvc.lock, with it the code and the settings."""
    commit = describe_last_commit(root, LOCK)
    changed = run_git(root, "status", "--porcelain", "--", LOCK, "params.yaml", "stages")
    if commit is None:
        return f"{LOCK} is in no commit yet"
    return f"{commit}{'; changed since: dvc.lock, params.yaml or stages' if changed else ''}"


def environment_line(root: Path, entry: LockEntry) -> str | None:
    """What `entry` ran on, as its report tells; None where it tells nothing."""
    for path in entry.outs:
        told = _json(root / path).get("environment") if path.endswith(".json") else None
        if isinstance(told, dict):
            packages = told.get("packages")
            versions = packages if isinstance(packages, dict) else {}
            named = ", ".join(f"{name} {versions[name]}" for name in SHOWN_PACKAGES if name in versions)
            machine = ", ".join(
                str(told[key]) for key in ("platform", "device", "gpu") if isinstance(told.get(key), str)
            )
            return f"python {told.get('python')}, {named}; {machine}, {told.get('cores')} cores"
    return None


def made_from(root: Path, folder: Path) -> dict[str, Any]:
    """What the manifest of a policy says it was made from."""
    value = _json(root / folder / MANIFEST).get("made_from")
    return value if isinstance(value, dict) else {}


def _listed(path: Path) -> dict[str, Any]:
    files = _json(path).get("files")
    return files if isinstance(files, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
