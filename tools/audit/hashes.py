"""Hashes as DVC and the manifests give them, against the bytes on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.common.policies import MANIFEST
from stages.common.provenance import folder_files
from tools.audit.findings import Findings
from tools.audit.history import committed_folder
from tools.audit.layout import Part
from tools.plan import folder_hash

HashOfFiles = Callable[[dict[str, str]], str]
"""What makes one hash of the sha256 of files by their names."""

_IGNORED_PARTS = {"__pycache__", ".venv", "work"}
_IGNORED_SUFFIX = ".pyc"
"""What .dvcignore keeps out of a folder's hash."""


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes, as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5s(folder: Path) -> dict[str, str]:
    """``{path below folder: md5}`` of the files that DVC counts to a folder."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): file_md5(path)
        for name, path in files.items()
        if not _IGNORED_PARTS.intersection(name.parts) and name.suffix != _IGNORED_SUFFIX
    }


def check_hash(findings: Findings, check: str, root: Path, cache: Path | None, path: str, md5: str, used: str) -> None:
    """Compare the file or folder at `path` with `md5` of dvc.lock; `used` says by which stage it is named there.

    For a folder, the file that differs is named where the DVC cache or Git still lists what was in it.
    """
    place = root / path
    findings.seen(check, 1)
    if not place.exists():
        findings.fault(check, path, f"missing; dvc.lock names it ({used}, md5 {md5}), `dvc pull` brings it")
        return
    if not place.is_dir():
        found = file_md5(place)
        if found != md5:
            findings.fault(check, path, f"has md5 {found}; dvc.lock says {md5} ({used})")
        return
    files = folder_md5s(place)
    found = folder_hash(files)
    if found == md5:
        return
    recorded = cached_folder(cache, md5) or committed_folder(root, path, md5)
    if recorded is None:
        findings.fault(check, path, f"has md5 {found}; dvc.lock says {md5} ({used})")
        return
    for name in sorted({*files, *recorded}):
        if files.get(name) != recorded.get(name):
            now, then = files.get(name, "nothing"), recorded.get(name, "nothing")
            findings.fault(check, f"{path}/{name}", f"has md5 {now}; dvc.lock says {then} ({used}, folder {md5})")


def cached_folder(cache: Path | None, md5: str) -> dict[str, str] | None:
    """``{path below the folder: md5}`` of the folder with hash `md5` (ends in ``.dir``), None if it is not cached."""
    path = cached_file(cache, md5)
    if path is None:
        return None
    try:
        listed = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, KeyError, TypeError):
        return None
    # A listing that is not what its name says would accuse files that are right.
    return listed if folder_hash(listed) == md5 else None


def cached_file(cache: Path | None, md5: str) -> Path | None:
    """Where the DVC cache holds the file with hash `md5`, None if it does not."""
    path = None if cache is None else cache / md5[:2] / md5[2:]
    return path if path is not None and path.is_file() else None


def check_manifest(findings: Findings, root: Path, folder: Path, hashed: HashOfFiles) -> None:
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


def check_descent(findings: Findings, root: Path, part: Part) -> None:
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
