"""Verification: everything that can be recomputed is recomputed and compared, over all rows, range by range."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.params.block import FILE_HASHES
from stages.common.params.recipe import SEED_POLICY
from stages.common.policies import hash_policy_files, read_policy
from stages.common.provenance import hash_manifest
from stages.common.tables import list_shards
from tools.audit.check_results import CHECKS, CheckResults
from tools.audit.key_ranges import UNREADABLE, KeyRange, plan_ranges
from tools.audit.table_sets import RECIPE, TableSet, list_lookups, list_rounds
from tools.audit.verify.dataset_checks import COLUMNS, SelectedRows, check_dataset, hash_file_rows, select_rows
from tools.audit.verify.hash_checks import check_given_file, check_hash, check_manifest, check_policy_sources
from tools.audit.verify.lock_checks import check_lock, choose_stages, describe_missing, list_hashed_paths
from tools.audit.verify.parallel import Task, TaskResult, run_tasks
from tools.audit.verify.report_checks import (
    check_evaluation_report,
    check_report_copies,
    check_round_counts,
    check_summary,
)
from tools.audit.verify.row_checks import check_problems, check_rows, check_sampled_problems, read_rows
from tools.audit.verify.row_comparison import add_unreadable
from tools.dvc_files import find_cache
from tools.dvc_lock import Lock, read_lock
from tools.plan import stage_commands

RANGE_ROWS = 4096
"""Samples per task, within a problem's samples; memory does not grow with the tables."""

ROW_CHECKS = frozenset({"tables", "samples", "steps", "labels", "verdicts", "selection", "kto"})
DATASET_CHECKS = frozenset({"selection", "kto"})


def verify(
    root: Path,
    rounds: list[str] | None = None,
    checks: Iterable[str] = tuple(CHECKS),
    num_workers: int = 1,
    targets: Collection[str] = (),
) -> CheckResults:
    """Run `checks` over `rounds` (all of params.yaml by default) of the repository at `root`.

    With `targets`, stages such as ``dataset@M1``, only what these were made from is checked. What has not run yet, or
    not since something changed, is noted and its rows are not checked. Raises `UserError` for an unknown round and for
    a target that has not run, `FileNotFoundError` where there is no dvc.lock; the rest is in the results.
    """
    known = list_rounds(root)
    for name in rounds or ():
        if name not in known:
            raise UserError(f"params.yaml: no round {name}; there are {', '.join(known)}")
    lock = read_lock(root)
    commands = stage_commands(root)
    stages, missing = choose_stages(lock, commands, rounds or known, targets)
    rounds = [name for name in rounds or known if any(stage.endswith(f"@{name}") for stage in stages)]
    results = CheckResults(frozenset(checks))
    outdated = check_lock(results, root, lock, commands, stages, rounds)
    results.notes += describe_missing(missing, stages)
    table_sets = _find_table_sets(results, lock, rounds, stages, outdated)
    tasks = [
        *_plan_file_tasks(results, root, lock, stages, outdated, table_sets),
        *_plan_row_tasks(results, root, table_sets),
        *_plan_report_tasks(results, root, lock, stages, outdated, table_sets),
    ]
    selected = {tables.name: SelectedRows() for tables in table_sets if tables.selection}
    digests: dict[str, dict[str, list[pl.DataFrame]]] = {name: {} for name in selected}
    for task in run_tasks(tasks, num_workers, root / RECIPE):
        results.merge(task.results)
        if not task.is_complete:
            selected.pop(task.round_name, None)
        if task.selected is not None and task.round_name in selected:
            selected[task.round_name].merge(task.selected)
        if task.digests is not None:
            name, frame = task.digests
            digests[task.round_name].setdefault(name, []).append(frame)
    if DATASET_CHECKS & results.checks:
        for tables in table_sets:
            if tables.name in selected:
                files = {name: pl.concat(frames) for name, frames in digests[tables.name].items()}
                check_dataset(results, root, tables, selected[tables.name], files)
    return results


def _find_table_sets(
    results: CheckResults, lock: Lock, rounds: list[str], stages: list[str], outdated: set[str]
) -> list[TableSet]:
    """The tables of rounds and evaluations whose stages all ran and are up to date; others are noted."""
    table_sets: list[TableSet] = []
    for lookup in list_lookups(lock, rounds):
        if not set(lookup.stages) <= set(stages):
            continue
        if stale := [name for name in lookup.stages if name in outdated]:
            results.notes.append(f"{lookup.name}: out of date: {', '.join(stale)}; its rows are not checked")
            continue
        try:
            table_sets += lookup.find()
        except UserError as error:
            results.add_error("tables", "not checked", str(error))
    return table_sets


def _plan_file_tasks(
    results: CheckResults, root: Path, lock: Lock, stages: list[str], outdated: set[str], table_sets: list[TableSet]
) -> list[Task]:
    plan = partial(partial, _run_check, results.checks)
    cache = find_cache(root)
    tasks: list[Task] = [
        plan(check_hash, check, root, cache, path, md5, names)
        for check, path, md5, names in list_hashed_paths(lock, stages, outdated)
        if check in results
    ]
    if "code" in results:
        given = {
            named: name
            for name in stages
            if name not in outdated
            for block in lock[name].tracked_params.values()
            if isinstance(block, dict)
            for named in (block.get(FILE_HASHES) or {}).items()
        }
        tasks += [plan(check_given_file, root, *named, stage) for named, stage in given.items()]
    if "manifests" in results:
        outs = [out for name in stages if name not in outdated for out in lock[name].outs]
        policies = sorted(Path(out) for out in outs if out.startswith("models/"))
        datasets = [tables.selection.folder for tables in table_sets if tables.selection]
        tasks += [plan(check_manifest, root, folder, hash_policy_files) for folder in policies]
        tasks += [plan(check_manifest, root, folder, hash_manifest) for folder in datasets]
        for tables in table_sets:
            if (train := f"train@{tables.name}") in stages and train not in outdated:
                check_policy_sources(results, root, tables, lock[train].tracked_params["train"]["method"])
    return tasks


def _plan_row_tasks(results: CheckResults, root: Path, table_sets: list[TableSet]) -> list[Task]:
    plan = partial(partial, _run_check, results.checks)
    tasks: list[Task] = []
    if {"tables", "problems"} & results.checks:
        for folder, digits in {tables.problems: tables.shard_digits for tables in table_sets}.items():
            ranges, _ = _plan_ranges(results, root, folder, digits)
            tasks += [plan(check_problems, root, folder, keys) for keys in ranges]
    if not ROW_CHECKS & results.checks:
        return tasks
    for tables in table_sets:
        _check_file_names(results, root, tables)
        ranges, is_complete = _plan_ranges(results, root, tables.samples, tables.shard_digits)
        policy = _read_policy_hash(root, tables)
        tasks += [partial(_check_range, results.checks, root, tables, policy, keys) for keys in ranges]
        if "samples" in results and policy is not None:
            tasks.append(plan(check_sampled_problems, root, tables, policy))
        if tables.selection is not None and DATASET_CHECKS & results.checks:
            if not is_complete:
                tasks.append(partial(TaskResult, CheckResults(results.checks), tables.name, is_complete=False))
            for path in (tables.selection.folder / name for name in COLUMNS):
                tasks += _plan_digest_tasks(results, root, tables.name, path)
    return tasks


def _plan_report_tasks(
    results: CheckResults, root: Path, lock: Lock, stages: list[str], outdated: set[str], table_sets: list[TableSet]
) -> list[Task]:
    if "reports" not in results:
        return []
    plan = partial(partial, _run_check, results.checks)
    tasks: list[Task] = [plan(check_round_counts, root, tables) for tables in table_sets if tables.selection]
    current = [name for name in stages if name not in outdated]
    for name in (name for name in current if name.partition("@")[0] in ("evaluate", "evaluate_seed")):
        tasks.append(plan(check_evaluation_report, root, lock[name], name.partition("@")[2] or SEED_POLICY))
    if "report" in current:
        tasks += [plan(check_report_copies, root), plan(check_summary, root)]
    return tasks


def _plan_ranges(results: CheckResults, root: Path, folder: Path, digits: int) -> tuple[list[KeyRange], bool]:
    """The ranges of a table's shards, and whether all could be read."""
    ranges: list[KeyRange] = []
    is_complete = True
    expected = list_shards(digits)
    for shard in expected:
        try:
            ranges += plan_ranges(root / folder, shard, RANGE_ROWS)
        except UNREADABLE as error:
            add_unreadable(results, folder / f"{shard}.parquet", error)
            is_complete = False
    return ranges, is_complete


def _check_file_names(results: CheckResults, root: Path, tables: TableSet) -> None:
    """The folders of tables must hold their shards and nothing else that is read as one."""
    expected = list_shards(tables.shard_digits)
    folders = [tables.problems, tables.samples, tables.outcomes, tables.verifier_responses]
    folders += [tables.steps, tables.labels, tables.replies]
    folders += [tables.selection.selections] if tables.selection else []
    for folder in filter(None, folders):
        for path in sorted((root / folder).glob("*.parquet")):
            if path.stem not in expected:
                what = f"is no shard of {tables.shard_digits} digits"
                results.add_error("tables", f"{folder}/{path.name}", what)


def _read_policy_hash(root: Path, tables: TableSet) -> str | None:
    try:
        return read_policy(root / tables.policy).hash
    except (ValueError, FileNotFoundError):
        return None  # check "manifests" reports it


def _plan_digest_tasks(results: CheckResults, root: Path, round_name: str, path: Path) -> list[Task]:
    try:
        rows = pl.scan_parquet(root / path).select(pl.len()).collect().item()
    except UNREADABLE as error:
        add_unreadable(results, path, error)
        return []
    offsets = range(0, max(rows, 1), RANGE_ROWS)
    return [partial(_hash_rows, results.checks, root, round_name, path, offset) for offset in offsets]


def _run_check(checks: frozenset[str], check: Callable[..., None], *arguments: Any) -> TaskResult:
    task = TaskResult(CheckResults(checks))
    check(task.results, *arguments)
    return task


def _check_range(
    checks: frozenset[str], root: Path, tables: TableSet, policy: str | None, keys: KeyRange
) -> TaskResult:
    task = TaskResult(CheckResults(checks), tables.name)
    rows = read_rows(task.results, root, tables, keys)
    check_rows(task.results, root, tables, keys, rows, policy)
    if tables.selection is not None and DATASET_CHECKS & checks:
        try:
            task.selected = select_rows(root, tables.selection, tables.judge.scope, rows)
        except UserError as error:
            task.results.add_error("selection", str(tables.selection.folder), str(error))
        task.is_complete = task.selected is not None
    return task


def _hash_rows(checks: frozenset[str], root: Path, round_name: str, path: Path, offset: int) -> TaskResult:
    task = TaskResult(CheckResults(checks), round_name)
    digests = hash_file_rows(task.results, root, path, offset, RANGE_ROWS)
    task.digests = None if digests is None else (path.name, digests)
    return task
