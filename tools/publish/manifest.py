"""The publication's manifest: sha256 of every file, one hash over them, and the commit and data that they come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.provenance import folder_files, manifest_hash
from stages.common.tables import write_json

NAME = "manifest.json"

MADE_BY = "tools.publish"
"""Says in a manifest that the repository beside it was written by this stage, and may be written again."""

SETTINGS = "provenance/params.yaml"
LOCK = "provenance/dvc.lock"
"""Copies of the recipe and of DVC's lock in each publication: from a file's sha256 to its stage, settings and code."""


@dataclass(frozen=True)
class Publication:
    """What a manifest says: the `hash` that names the publication, its `files` with sha256, and the `rounds` in it."""

    hash: str
    files: dict[str, str]
    rounds: tuple[str, ...]


def write_publication(folder: Path, rounds: dict[str, Any], made_from: dict[str, Any]) -> Publication:
    """Write the manifest of everything in `folder`; `rounds` has an object per round (or policy) with its own hash."""
    files = folder_files(folder, but=(NAME,))
    publication = Publication(manifest_hash(files), files, tuple(rounds))
    value = {"made_by": MADE_BY, "hash": publication.hash, "files": files, "rounds": rounds, "made_from": made_from}
    write_json(folder / NAME, value)
    return publication


def read_publication(path: Path) -> Publication | None:
    """The publication that the file at `path` describes, None where it is no manifest of this stage's."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in value["files"].items()}
        made_by, digest, rounds = value["made_by"], value["hash"], tuple(map(str, value["rounds"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if made_by != MADE_BY or digest != manifest_hash(files):
        return None
    return Publication(digest, files, rounds)
