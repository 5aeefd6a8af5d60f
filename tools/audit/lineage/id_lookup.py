"""From an id, or the beginning of one, to what bears it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from stages.common.policies import MANIFEST
from tools.audit.key_ranges import UNREADABLE
from tools.audit.table_sets import PROBLEMS

Kind = Literal["problem", "sample", "policy", "data set"]

SHOWN = 10
"""Ids that an unclear beginning is answered with."""


@dataclass(frozen=True)
class Found:
    """Something with an id; `folder` is where it lies, relative to the root: of a sample, the first that was found."""

    kind: Kind
    id: str
    folder: Path


def find(root: Path, start: str) -> Found:
    """What has the id that begins with `start`; raises `ValueError` where nothing has, or several things."""
    found = {thing.id: thing for thing in reversed(_all(root, start.lower()))}
    if not found:
        raise ValueError(f"{start}: no problem, sample, policy or data set here has an id that begins so")
    if len(found) > 1:
        first = "\n".join(
            f"  {thing.kind} {thing.id}" for thing in sorted(found.values(), key=lambda thing: thing.id)[:SHOWN]
        )
        raise ValueError(f"{start}: {len(found)} ids begin so:\n{first}")
    return next(iter(found.values()))


def _all(root: Path, start: str) -> list[Found]:
    things: list[Found] = []
    for folder in [PROBLEMS, *_folders(root, ["data/evaluations/*/benchmarks/*/problems"])]:
        things += [Found("problem", identity, folder) for identity in _ids(root / folder, "problem_id", start)]
    for folder in sample_folders(root):
        things += [Found("sample", identity, folder) for identity in _ids(root / folder, "sample_id", start)]
    for kind, pattern in (("policy", "models/*"), ("data set", "data/datasets/*")):
        for path in sorted(root.glob(f"{pattern}/{MANIFEST}")):
            identity = _hash_in(path)
            if identity.startswith(start):
                things.append(
                    Found("policy" if kind == "policy" else "data set", identity, path.parent.relative_to(root))
                )
    return things


def sample_folders(root: Path) -> list[Path]:
    """Folders with tables of samples: those of rounds, then those of evaluations; relative to the root."""
    measured = ("data/evaluations/*", "data/evaluations/*/benchmarks/*")
    of_evaluations = [f"{folder}/{samples}" for folder in measured for samples in ("samples", "majority/samples")]
    return _folders(root, ["data/samples/*", *of_evaluations])


def _folders(root: Path, patterns: list[str]) -> list[Path]:
    return [path.relative_to(root) for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_dir()]


def _ids(folder: Path, column: str, start: str) -> list[str]:
    """Distinct ids that begin with `start`, a few more than are shown at most."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        return []
    try:
        matching = pl.scan_parquet(files).select(column).filter(pl.col(column).str.starts_with(start))
        return matching.unique().sort(column).head(SHOWN + 1).collect()[column].to_list()
    except UNREADABLE as error:
        raise ValueError(f"{folder}: unreadable ({' '.join(str(error).split())}); `audit verify` says more") from error


def _hash_in(path: Path) -> str:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(value.get("hash", "")) if isinstance(value, dict) else ""
