"""Hashes as DVC and the manifests give them, against the bytes on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.common.policies import MANIFEST
from stages.common.provenance import folder_files
from tools.audit.check_results import CheckResults
from tools.audit.table_sets import TableSet
from tools.dvc_files import hash_file, hash_files, hash_listing, read_cached_listing
from tools.dvc_lock import LOCK
from tools.git import list_changed_since_commit_of

HashOfFiles = Callable[[dict[str, str]], str]
"""What makes one hash of the sha256 of files by their names."""


def check_hash(
    findings: CheckResults, check: str, root: Path, cache: Path | None, path: str, md5: str, used: str
) -> None:
    """Compare the file or folder at `path` with `md5` of dvc.lock; `used` says by which stage it is named there.

    For a folder, the file that differs is named where the DVC cache or Git still lists what was in it.
    """
    place = root / path
    findings.seen(check, 1)
    if not place.exists():
        findings.fault(check, path, f"missing; dvc.lock names it ({used}, md5 {md5}), `dvc pull` brings it")
        return
    if not place.is_dir():
        found = hash_file(place)
        if found != md5:
            findings.fault(check, path, f"has md5 {found}; dvc.lock says {md5} ({used})")
        return
    files = hash_files(place)
    found = hash_listing(files)
    if found == md5:
        return
    recorded = read_cached_listing(cache, md5)
    if recorded is not None:
        for name in sorted({*files, *recorded}):
            if files.get(name) != recorded.get(name):
                now, then = files.get(name, "nothing"), recorded.get(name, "nothing")
                findings.fault(check, f"{path}/{name}", f"has md5 {now}; dvc.lock says {then} ({used}, folder {md5})")
        return
    changed = list_changed_since_commit_of(root, LOCK, path)
    named = f"; changed since dvc.lock was committed: {', '.join(changed)}" if changed else ""
    findings.fault(check, path, f"has md5 {found}; dvc.lock says {md5} ({used}){named}")


def check_manifest(findings: CheckResults, root: Path, folder: Path, hashed: HashOfFiles) -> None:
    """Compare ``manifest.json`` in `folder` (relative to `root`) with the files there, and its hash with `hashed`."""
    path = folder / MANIFEST
    findings.seen("manifests", 1)
    try:
        manifest: dict[str, Any] = json.loads((root / path).read_text(encoding="utf-8"))
        listed = {str(name): str(sha256) for name, sha256 in manifest["files"].items()}
        stated = str(manifest["hash"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        findings.fault("manifests", str(path), f"not a manifest ({error!r})")
        return
    if hashed(listed) != stated:
        findings.fault("manifests", str(path), f"hash {stated} does not belong to the files listed")
    if manifest.get("repo"):
        return  # the files lie on the Hub
    found = folder_files(root / folder, but=(MANIFEST,))
    for name in sorted({*listed, *found}):
        if listed.get(name) != found.get(name):
            now, then = found.get(name, "nothing"), listed.get(name, "nothing")
            findings.fault("manifests", str(folder / name), f"has sha256 {now}; {path} says {then}")


def check_descent(findings: CheckResults, root: Path, part: TableSet) -> None:
    """A round's policy must say that it was made from the round's data set and from the policy before it."""
    if part.selection is None:
        return
    made = _json(root / "models" / part.name / MANIFEST)
    made_from = made.get("made_from")
    if not isinstance(made_from, dict) or made_from.get("kind") != "train":
        return  # a round that trains nothing hands its policy on
    sources = {"dataset": part.selection.folder, "policy": part.policy}
    for key, folder in sources.items():
        expected = _json(root / folder / MANIFEST).get("hash")
        if expected is not None and made_from.get(key) != expected:
            where = f"models/{part.name}/{MANIFEST}"
            findings.fault("manifests", where, f"made from {key} {made_from.get(key)}; {folder} has hash {expected}")


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is none: check_manifest has said so."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
