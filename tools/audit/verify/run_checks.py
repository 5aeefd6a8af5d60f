"""Verifying: everything that can be made again is made again and compared, over all rows, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from stages.common.params.recipe import SEED_POLICY
from stages.common.policies import hash_policy_files, read_policy
from stages.common.provenance import manifest_hash
from stages.common.tables import shard_names
from tools.audit.check_results import CHECKS, CheckResults
from tools.audit.key_ranges import UNREADABLE, KeyRange, plan_ranges
from tools.audit.table_sets import TableSet, find_evaluation_tables, find_round_tables, policy_of, round_names
from tools.audit.verify.dataset_checks import COLUMNS, Selected, check_data_set, digest_file, select_rows
from tools.audit.verify.hash_checks import HashOfFiles, check_descent, check_hash, check_manifest
from tools.audit.verify.lock_checks import check_lock, hashed_paths
from tools.audit.verify.parallel import Job, Piece, run_jobs
from tools.audit.verify.row_checks import check_problems, check_rows, read_rows
from tools.audit.verify.sampled_problems import check_chosen
from tools.dvc_files import find_cache
from tools.dvc_lock import Lock, read_lock

PIECE = 4096
"""Samples per piece of work, give or take a problem's: what is held in memory does not grow with the tables."""

ROW_CHECKS = frozenset({"tables", "samples", "steps", "labels", "verdicts", "selection", "kto"})
DATA_SET_CHECKS = frozenset({"selection", "kto"})


def verify(
    root: Path, rounds: list[str] | None = None, checks: frozenset[str] = frozenset(CHECKS), workers: int = 1
) -> CheckResults:
    """Run `checks` over `rounds` (all of params.yaml by default) of the repository at `root`.

    Raises `FileNotFoundError` or `ValueError` where there is no dvc.lock, or no such round; any fault in what the lock
    leads to is in the findings.
    """
    known = round_names(root)
    rounds = known if rounds is None else rounds
    for name in rounds:
        if name not in known:
            raise ValueError(f"params.yaml: no round {name}; there are {', '.join(known)}")
    lock = read_lock(root)
    findings = CheckResults(checks)
    if "lock" in checks:
        check_lock(findings, root, lock, rounds)
    parts = _parts(findings, root, lock, rounds)
    jobs = [*_file_jobs(findings, root, lock, rounds, parts), *_row_jobs(findings, root, parts)]
    selected = {part.name: Selected() for part in parts if part.selection}
    found: dict[str, dict[str, list[pl.DataFrame]]] = {name: {} for name in selected}
    for piece in run_jobs(jobs, workers):
        findings.add(piece.findings)
        if not piece.whole:
            selected.pop(piece.part, None)
        if piece.selected is not None and piece.part in selected:
            selected[piece.part].add(piece.selected)
        if piece.digests is not None:
            name, frame = piece.digests
            found[piece.part].setdefault(name, []).append(frame)
    if DATA_SET_CHECKS & checks:
        for part in parts:
            if part.name in selected:
                files = {name: pl.concat(frames) for name, frames in found[part.name].items()}
                check_data_set(findings, root, part, selected[part.name], files)
    return findings


def _parts(findings: CheckResults, root: Path, lock: Lock, rounds: list[str]) -> list[TableSet]:
    """The rounds' tables and those of all evaluations; a stage that is missing from dvc.lock is a fault."""
    parts: list[TableSet] = []
    makers: list[Callable[[], list[TableSet]]] = [
        partial(lambda name: [find_round_tables(lock, name, policy_of(root, name))], name) for name in rounds
    ]
    makers += [partial(find_evaluation_tables, lock, name) for name in [SEED_POLICY, *rounds]]
    for make in makers:
        try:
            parts += make()
        except ValueError as error:
            findings.fault("tables", "not looked at", str(error))
    return parts


def _file_jobs(findings: CheckResults, root: Path, lock: Lock, rounds: list[str], parts: list[TableSet]) -> list[Job]:
    checks = frozenset(findings.by_check)
    cache = find_cache(root)
    jobs: list[Job] = [
        partial(_hash_job, checks, root, cache, *named) for named in hashed_paths(lock, rounds) if named[0] in checks
    ]
    if "manifests" in checks:
        policies = sorted({Path("models", SEED_POLICY), *(Path("models", name) for name in rounds)})
        data_sets = [part.selection.folder for part in parts if part.selection]
        jobs += [partial(_manifest_job, checks, root, folder, hash_policy_files) for folder in policies]
        jobs += [partial(_manifest_job, checks, root, folder, manifest_hash) for folder in data_sets]
        for part in parts:
            check_descent(findings, root, part)
    return jobs


def _row_jobs(findings: CheckResults, root: Path, parts: list[TableSet]) -> list[Job]:
    checks = frozenset(findings.by_check)
    jobs: list[Job] = []
    if {"tables", "problems"} & checks:
        for folder, digits in {part.problems: part.digits for part in parts}.items():
            spans, _ = _ranges(findings, root, folder, digits)
            jobs += [partial(_problems_job, checks, root, folder, span) for span in spans]
    if not ROW_CHECKS & checks:
        return jobs
    for part in parts:
        spans, whole = _ranges(findings, root, part.samples, part.digits)
        policy = _policy_hash(root, part)
        jobs += [partial(_rows_job, checks, root, part, policy, span) for span in spans]
        if "samples" in checks and policy is not None:
            jobs.append(partial(_chosen_job, checks, root, part, policy))
        if part.selection is not None and DATA_SET_CHECKS & checks:
            jobs += _digest_jobs(findings, root, part, whole)
    return jobs


def _ranges(findings: CheckResults, root: Path, folder: Path, digits: int) -> tuple[list[KeyRange], bool]:
    """The ranges of a table's shards, and whether all could be read; a shard that should not be is a fault."""
    spans: list[KeyRange] = []
    whole = True
    for shard in shard_names(digits):
        try:
            spans += plan_ranges(root / folder, shard, PIECE)
        except UNREADABLE as error:
            findings.fault("tables", f"{folder}/{shard}.parquet", f"unreadable: {' '.join(str(error).split())}")
            whole = False
    due = set(shard_names(digits))
    for path in sorted((root / folder).glob("*.parquet")):
        if path.stem not in due:
            findings.fault("tables", f"{folder}/{path.name}", f"is no shard of {digits} digits")
    return spans, whole


def _policy_hash(root: Path, part: TableSet) -> str | None:
    try:
        return read_policy(root / part.policy).hash
    except (ValueError, FileNotFoundError):
        return None  # check "manifests" has said so


def _digest_jobs(findings: CheckResults, root: Path, part: TableSet, whole: bool) -> list[Job]:
    assert part.selection is not None
    checks = frozenset(findings.by_check)
    jobs: list[Job] = [] if whole else [partial(Piece, CheckResults(checks), part.name, whole=False)]
    for name in COLUMNS:
        path = part.selection.folder / name
        try:
            rows = pl.scan_parquet(root / path).select(pl.len()).collect().item()
        except UNREADABLE as error:
            findings.fault("tables", str(path), f"unreadable: {' '.join(str(error).split())}")
            continue
        jobs += [partial(_digest_job, checks, root, part.name, path, at) for at in range(0, max(rows, 1), PIECE)]
    return jobs


def _hash_job(
    checks: frozenset[str], root: Path, cache: Path | None, check: str, path: str, md5: str, used: str
) -> Piece:
    piece = Piece(CheckResults(checks))
    check_hash(piece.findings, check, root, cache, path, md5, used)
    return piece


def _manifest_job(checks: frozenset[str], root: Path, folder: Path, hashed: HashOfFiles) -> Piece:
    piece = Piece(CheckResults(checks))
    check_manifest(piece.findings, root, folder, hashed)
    return piece


def _problems_job(checks: frozenset[str], root: Path, folder: Path, span: KeyRange) -> Piece:
    piece = Piece(CheckResults(checks))
    check_problems(piece.findings, root, folder, span)
    return piece


def _rows_job(checks: frozenset[str], root: Path, part: TableSet, policy: str | None, span: KeyRange) -> Piece:
    piece = Piece(CheckResults(checks), part.name)
    rows = read_rows(piece.findings, root, part, span)
    check_rows(piece.findings, root, part, span, rows, policy)
    if part.selection is not None and DATA_SET_CHECKS & checks:
        piece.selected = select_rows(part.selection, rows)
        piece.whole = piece.selected is not None
    return piece


def _chosen_job(checks: frozenset[str], root: Path, part: TableSet, policy: str) -> Piece:
    piece = Piece(CheckResults(checks))
    check_chosen(piece.findings, root, part, policy)
    return piece


def _digest_job(checks: frozenset[str], root: Path, part: str, path: Path, offset: int) -> Piece:
    piece = Piece(CheckResults(checks), part)
    digests = digest_file(piece.findings, root, path, offset, PIECE)
    piece.digests = None if digests is None else (path.name, digests)
    return piece
