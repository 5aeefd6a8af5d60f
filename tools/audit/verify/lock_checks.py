"""The chain of hashes inside dvc.lock, and the params that it records.

`dvc status` compares each stage with the working tree only; here the entries are compared with each other, too, so that
a lock can be checked where the data is not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from stages.common.errors import describe_error
from stages.common.params.block import ParamsError
from stages.common.params.recipe import SEED_POLICY, resolve
from tools.audit.check_results import CheckResults
from tools.dvc_lock import Lock, LockEntry, find_producers, parse_yaml
from tools.plan import stage_commands

CODE = "stages/"
REPORT_STAGE = "report"
"""The one stage that a verified run may lack."""


def check_lock(results: CheckResults, root: Path, lock: Lock, rounds: list[str]) -> None:
    """Every stage of `rounds` must be there, have read what others wrote, and have run with the params in force."""
    producers = find_producers(lock)
    commands = stage_commands(root)
    for name in (name for name in commands if _belongs_to(name, rounds)):
        if name == REPORT_STAGE and name not in lock:
            continue
        results.count("lock", 1)
        if name not in lock:
            results.add_error("lock", "dvc.lock", f"no stage {name}; run `dvc repro`")
            continue
        entry = lock[name]
        if entry.command != commands[name]:
            what = f"ran {entry.command!r}; dvc.yaml says {commands[name]!r}"
            results.add_error("lock", f"dvc.lock: {name}", what)
        for path, md5 in entry.deps.items():
            producer = producers.get(path)
            if producer is None and not _is_given(path) and not any(out.startswith(f"{path}/") for out in producers):
                results.add_error("lock", f"dvc.lock: {name}", f"reads {path} (md5 {md5}), which no stage writes")
            elif producer is not None and lock[producer].outs[path] != md5:
                written = lock[producer].outs[path]
                results.add_error("lock", f"dvc.lock: {name}", f"read {path} as {md5}; {producer} wrote {written}")
        _check_tracked_params(results, root, entry)
    if "params" in lock:
        for name in (SEED_POLICY, *rounds):
            _check_resolved_params(results, root, lock["params"], name)


def _belongs_to(stage: str, rounds: list[str]) -> bool:
    _, _, round_name = stage.partition("@")
    return not round_name or round_name in rounds


def _is_given(path: str) -> bool:
    """Whether no stage writes `path`, such as code."""
    return not path.startswith(("data/", "models/"))


def _check_tracked_params(results: CheckResults, root: Path, entry: LockEntry) -> None:
    """Tracked values must be those in the params file."""
    for file, values in entry.params.items():
        try:
            params = parse_yaml((root / file).read_text(encoding="utf-8"))
        except (OSError, YAMLError) as error:
            results.add_error("lock", file, f"unreadable ({describe_error(error)})")
            continue
        for key, value in values.items():
            actual = _get_value(params, key)
            if actual != value:
                what = f"ran with {key} {value!r}; {file} holds {actual!r}"
                results.add_error("lock", f"dvc.lock: {entry.name}", what)


def _check_resolved_params(results: CheckResults, root: Path, entry: LockEntry, name: str) -> None:
    """A round's params file must follow from the recipe that stage params read."""
    file = f"reports/params/{name}.yaml"
    try:
        expected = resolve(entry.tracked_params, name)
        actual = parse_yaml((root / file).read_text(encoding="utf-8"))
    except (OSError, KeyError, ParamsError, YAMLError) as error:
        results.add_error("lock", file, f"does not follow from params.yaml ({describe_error(error)})")
        return
    for key in sorted({*expected, *actual}):
        if expected.get(key) != actual.get(key):
            what = f"{key} is {actual.get(key)!r}; params.yaml gives {expected.get(key)!r}"
            results.add_error("lock", file, what)


def _get_value(params: Any, key: str) -> Any:
    """The value at a dotted key, None where there is none."""
    for name in key.split("."):
        params = params.get(name) if isinstance(params, dict) else None
    return params


def list_hashed_paths(lock: Lock, rounds: list[str]) -> list[tuple[str, str, str, str]]:
    """What to hash for `rounds`: (check, path, md5, stages), every path and hash once.

    Outputs belong to check ``files``; inputs that no stage writes, code above all, to check ``code``.
    """
    producers = find_producers(lock)
    stages: dict[tuple[str, str, str], list[str]] = {}
    for entry in (entry for name, entry in lock.items() if _belongs_to(name, rounds)):
        for path, md5 in entry.outs.items():
            stages.setdefault(("files", path, md5), []).append(entry.name)
        for path, md5 in entry.deps.items():
            if path not in producers:  # a folder of outputs, such as all reports, belongs to no single stage
                check = "code" if _is_given(path) else "files"
                stages.setdefault((check, path, md5), []).append(entry.name)
    return [(*key, f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}") for key, names in stages.items()]
