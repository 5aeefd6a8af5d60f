"""The manifest of a publication: sha256 of every file, one hash over them, and the commit and data they come from.

Its second line has the `checksum` of its bytes from the third line on, so that no byte of a publication changes unseen.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.provenance import hash_folder, hash_manifest
from stages.common.tables import write_json

MANIFEST = "manifest.json"

MADE_BY = "tools.publish"
"""Marks a manifest, and the repository it is in, as written by this tool, which may write it again."""

RECIPE_COPY = "provenance/params.yaml"
LOCK_COPY = "provenance/dvc.lock"
"""Copies of the recipe and of DVC's lock in each publication: they lead from a file's sha256 to its stage and code."""


@dataclass(frozen=True)
class ReleaseManifest:
    """The `hash` that names the publication, its `files` with sha256, and the `rounds` (or the policy) in it."""

    hash: str
    files: dict[str, str]
    rounds: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict, compare=False)
    """The whole file."""


def write_release_manifest(
    folder: Path, rounds: dict[str, Any], made_from: dict[str, Any], **facts: Any
) -> ReleaseManifest:
    """Write the manifest of all files in `folder`; `rounds` has an object per round (or policy) with its own hashes."""
    files = hash_folder(folder, exclude=(MANIFEST,))
    manifest = ReleaseManifest(hash_manifest(files), files, tuple(rounds))
    value = {"made_by": MADE_BY, "hash": manifest.hash, "files": files, "rounds": rounds, "made_from": made_from}
    value |= facts
    assert min(value) > "checksum", "keys are sorted, and the checksum has to come first"
    write_json(folder / MANIFEST, value)
    after_first_line = (folder / MANIFEST).read_bytes().partition(b"\n")[2]
    write_json(folder / MANIFEST, {"checksum": hashlib.sha256(after_first_line).hexdigest(), **value})
    return manifest


def read_release_manifest(path: Path) -> ReleaseManifest | None:
    """The manifest at `path`, None where it is not one of this tool."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in value["files"].items()}
        made_by, digest, rounds = value["made_by"], value["hash"], tuple(map(str, value["rounds"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if made_by != MADE_BY or digest != hash_manifest(files):
        return None
    return ReleaseManifest(digest, files, rounds, value)
