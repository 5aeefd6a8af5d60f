"""``stepkto reproduce``: a committed run repeated in a fresh clone, and what differs if not every byte is the same."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.runs import ROOT, RUN_VARIABLE, list_runs, read_records
from tools.dvc_files import find_cache, find_cached_file, hash_file, read_cached_listing
from tools.dvc_lock import LockEntry, read_lock
from tools.git import read_file_at, resolve_commit, run_git

METRICS = "reports/metrics.json"

MAX_LINES = 20
"""Most lines of one comparison."""


def reproduce(root: Path, revision: str, folder: Path | None) -> tuple[bool, list[str]]:
    """Run commit `revision` in a fresh clone: whether all bytes are the committed ones, and lines to show.

    The clone is made in `folder`, which must not exist, and stays there; None makes it in a temporary folder. It has a
    DVC cache and journals of its own, so every stage is executed. Raises `UserError` where the run fails.
    """
    commit = resolve_commit(root, revision)
    if folder is not None and folder.exists():
        raise UserError(f"{folder} exists; name a new folder")
    with tempfile.TemporaryDirectory(prefix="stepkto-reproduce-") as temporary:
        clone = folder or Path(temporary) / "clone"
        _run(["git", "clone", "--quiet", str(root.resolve()), str(clone)], Path())
        _run(["git", "checkout", "--quiet", "--detach", commit], clone)
        _run([sys.executable, "-m", "dvc", "config", "--local", "cache.dir", ".dvc/cache"], clone)
        _run([sys.executable, "-m", "tools.cli", "repro"], clone)
        changed = (run_git(clone, "status", "--porcelain") or "").splitlines()
        if not changed:
            return True, [f"{commit[:12]}: every byte of {len(read_lock(clone))} stages is the committed one"]
        return False, [f"{commit[:12]}: other bytes in {len(changed)} files:", *changed, *_explain(root, clone)]


def _run(command: list[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:  # noqa: S603 - our own words
        raise UserError(f"{' '.join(command)}: failed in the fresh clone; what it printed is above")


def _explain(root: Path, clone: Path) -> Iterator[str]:
    """Which stage differs first, whether its inputs do, and by how much; then the metrics."""
    before, after = read_lock(clone, "HEAD"), read_lock(clone)
    order = [record["stage"] for record in read_records(list_runs(clone / ROOT)[-1])]
    others = [name for name in order if name not in before or before[name].outs != after[name].outs]
    if others:
        first = others[0]
        yield f"first difference: {first}, the first of {len(others)} stages that wrote other bytes"
        if first in before:
            yield from _compare_stage(find_cache(root), clone, before[first], after[first])
    committed = read_file_at(clone, "HEAD", METRICS)
    if committed is not None:
        yield "metrics:"
        now = (clone / METRICS).read_text(encoding="utf-8")
        yield from (f"  {line}" for line in compare_json(json.loads(committed), json.loads(now)))


def _compare_stage(cache: Path | None, clone: Path, before: LockEntry, after: LockEntry) -> Iterator[str]:
    inputs = [path for path in after.deps if before.deps.get(path) != after.deps[path]]
    same = before.params == after.params and before.command == after.command
    yield f"  inputs: {', '.join(inputs) or 'the same'}; params and command: {'the same' if same else 'others'}"
    for out in after.outs:
        if before.outs.get(out) != after.outs[out]:
            yield from _compare_output(cache, clone, out, before.outs.get(out, ""))


def _compare_output(cache: Path | None, clone: Path, out: str, md5: str) -> Iterator[str]:
    """Each file of an output that is not the one that dvc.lock named by `md5`."""
    if run_git(clone, "ls-files", "--", out):  # in Git, not in DVC's cache
        lines = (run_git(clone, "diff", "-U0", "--", out) or "").splitlines()
        changed = sorted({line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")})
        yield from (f"  {out}: {line}" for line in changed[:MAX_LINES])
        return
    files = read_cached_listing(cache, md5) if md5.endswith(".dir") else {"": md5}
    if files is None:
        yield f"  {out}: its committed bytes are not in this repository's cache; dvc pull brings them"
        return
    for name, was in files.items():
        now = clone / out / name if name else clone / out
        if not now.is_file():
            yield f"  {now.relative_to(clone)}: was not written"
        elif hash_file(now) != was:
            path = find_cached_file(cache, was)
            difference = "other bytes" if path is None else compare_files(path, now)
            yield f"  {now.relative_to(clone)}: {difference}"


def compare_files(before: Path, after: Path) -> str:
    """How far two files of one output are apart; the kind is that of the name of `after`."""
    if after.suffix == ".safetensors":
        from safetensors.numpy import load_file

        old, new = load_file(before), load_file(after)
        gaps = [abs(new[name] - old[name]) for name in old if name in new and new[name].shape == old[name].shape]
        changed, total = sum(int((gap > 0).sum()) for gap in gaps), sum(gap.size for gap in gaps)
        largest = max((float(gap.max()) for gap in gaps if gap.size), default=0.0)
        return f"{changed:,} of {total:,} weights differ, by at most {largest:.3g}"
    if after.suffix == ".parquet":
        was, now = pl.read_parquet(before), pl.read_parquet(after)
        rows = was.hash_rows().is_in(now.hash_rows().implode()) if was.schema == now.schema else None
        return "other columns" if rows is None else f"{(~rows).sum():,} of {was.height:,} rows differ"
    if after.suffix == ".json":
        return "; ".join(compare_json(json.loads(before.read_text("utf-8")), json.loads(after.read_text("utf-8"))))
    return "other bytes"


def compare_json(before: Any, after: Any) -> list[str]:
    """The numbers that differ most, relatively, of two JSON values, and how many differ at all."""
    old, new = (dict(_iterate_numbers(value)) for value in (before, after))
    gaps = {
        name: abs(new[name] - value) / max(abs(value), abs(new[name]))
        for name, value in old.items()
        if name in new and new[name] != value and math.isfinite(value) and math.isfinite(new[name])
    }
    largest = sorted(gaps, key=lambda name: -gaps[name])[:MAX_LINES]
    lines = [f"{name}: {old[name]:g} -> {new[name]:g} ({gaps[name]:.2g} of it)" for name in largest]
    return [*lines, f"{len(gaps)} of {len(old)} numbers differ"]


def _iterate_numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _iterate_numbers(item, f"{name} {key}".strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)
