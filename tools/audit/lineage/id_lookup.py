"""From an id, or the beginning of one, to what has it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from stages.common.errors import UserError
from stages.common.policies import MANIFEST
from tools.audit.key_ranges import collect
from tools.audit.table_sets import PROBLEMS, read_json

Kind = Literal["problem", "sample", "policy", "dataset"]

MAX_SHOWN_IDS = 10
"""Ids shown where a beginning is ambiguous."""


@dataclass(frozen=True)
class IdMatch:
    """Something with an id; `folder` is where it lies, relative to the root: of a sample, the first that has it."""

    kind: Kind
    id: str
    folder: Path


def find_id(root: Path, prefix: str) -> IdMatch:
    """What has the id that begins with `prefix`; raises `UserError` where nothing has, or several things."""
    matches = {match.id: match for match in reversed(_list_matches(root, prefix.lower()))}
    if not matches:
        raise UserError(
            f"{prefix}: no problem, sample, policy or dataset has an id that begins so; `dvc checkout` restores tables"
        )
    if len(matches) > 1:
        first = "\n".join(f"  {matches[identity].kind} {identity}" for identity in sorted(matches)[:MAX_SHOWN_IDS])
        raise UserError(f"{prefix}: {len(matches)} ids begin so:\n{first}")
    return next(iter(matches.values()))


def _list_matches(root: Path, prefix: str) -> list[IdMatch]:
    matches: list[IdMatch] = []
    for folder in [PROBLEMS, *_list_folders(root, ["data/evaluations/*/benchmarks/*/problems"])]:
        matches += [IdMatch("problem", identity, folder) for identity in _list_ids(root / folder, "problem_id", prefix)]
    for folder in list_sample_folders(root):
        matches += [IdMatch("sample", identity, folder) for identity in _list_ids(root / folder, "sample_id", prefix)]
    folders: list[tuple[Kind, str]] = [("policy", "models"), ("dataset", "data/datasets")]
    for kind, parent in folders:
        for path in sorted(root.glob(f"{parent}/*/{MANIFEST}")):
            identity = str(read_json(path).get("hash", ""))
            if identity.startswith(prefix):
                matches.append(IdMatch(kind, identity, path.parent.relative_to(root)))
    return matches


def list_sample_folders(root: Path) -> list[Path]:
    """Folders with tables of samples: those of rounds, then those of evaluations; relative to the root."""
    evaluations = ("data/evaluations/*", "data/evaluations/*/benchmarks/*")
    patterns = [f"{folder}/{samples}" for folder in evaluations for samples in ("samples", "majority/samples")]
    return _list_folders(root, ["data/samples/*", *patterns])


def _list_folders(root: Path, patterns: list[str]) -> list[Path]:
    return [path.relative_to(root) for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_dir()]


def _list_ids(folder: Path, column: str, prefix: str) -> list[str]:
    """Distinct ids that begin with `prefix`, one more than is shown at most."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        return []
    matching = pl.scan_parquet(files).select(column).filter(pl.col(column).str.starts_with(prefix))
    return collect(matching.unique().sort(column).head(MAX_SHOWN_IDS + 1), folder)[column].to_list()
