"""Hashes of files and folders."""

import hashlib
from pathlib import Path

from stages.common.tables import content_hash


def compute_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path, exclude: tuple[str, ...] = ()) -> dict[str, str]:
    """``{path relative to folder: sha256}`` of every file below `folder` except those named in `exclude`."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name: compute_sha256(folder / name) for name in names if name not in exclude}


def hash_manifest(files: dict[str, str]) -> str:
    """One hash for a set of files: of their names and sha256."""
    return content_hash("files", files)
