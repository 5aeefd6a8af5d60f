"""The chain of hashes inside dvc.lock, and the params that it records.

`dvc status` compares each stage with the working tree only; here the entries are compared with each other, too, so that
a lock can be checked where the data is not there.
"""

from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from stages.common.errors import UserError, describe_error
from stages.common.params.block import FILE_HASHES
from stages.common.params.recipe import SEED_POLICY, resolve
from tools.audit.check_results import CheckResults
from tools.dvc_lock import Lock, LockEntry, find_descendants, find_lineage, find_producers, parse_yaml

WRITERS = {"code", "params"}
"""Stages that write small files: what reads them is compared with these files itself."""


def check_lock(
    results: CheckResults,
    root: Path,
    lock: Lock,
    commands: dict[str, str],
    stages: Collection[str],
    rounds: list[str],
) -> set[str]:
    """Each of `stages` must have read what others wrote, and have run with the command and the params in force.

    Returns those that are out of date, with all that was made from them. `rounds` are those whose params are checked.
    """
    producers = find_producers(lock)
    read_params = cache(lambda file: parse_yaml((root / file).read_text(encoding="utf-8")))  # several stages read one
    outdated = set()
    for name in stages:
        results.count("lock", 1)
        problems = list(_find_differences(read_params, lock, producers, lock[name], commands.get(name)))
        if problems:
            outdated.add(name)
        for where, what in problems:
            results.add_error("lock", where, what)
    if "params" in stages:
        for name in (SEED_POLICY, *rounds):
            _check_resolved_params(results, root, lock["params"], name)
    return find_descendants(lock, outdated - WRITERS)


def _find_differences(
    read_params: Callable[[str], Any], lock: Lock, producers: dict[str, str], entry: LockEntry, command: str | None
) -> Iterator[tuple[str, str]]:
    where = f"dvc.lock: {entry.name}"
    if entry.command != command:
        yield where, f"ran {entry.command!r}; dvc.yaml says {command!r}"
    for path, md5 in entry.deps.items():
        producer = producers.get(path)
        if producer is None and not _is_given(path) and not any(out.startswith(f"{path}/") for out in producers):
            yield where, f"reads {path} (md5 {md5}), which no stage writes"
        elif producer is not None and lock[producer].outs[path] != md5:
            yield where, f"read {path} as {md5}; {producer} wrote {lock[producer].outs[path]}"
    for file, values in entry.params.items():
        try:
            params = read_params(file)
        except (OSError, ValueError, YAMLError) as error:
            yield file, f"unreadable ({describe_error(error)})"
            continue
        for key, value in values.items():
            actual = _get_value(params, key)
            if actual != value:
                yield where, f"ran with {key} {value!r}; {file} holds {actual!r}"


def choose_stages(
    lock: Lock, commands: Collection[str], rounds: list[str], targets: Collection[str]
) -> tuple[list[str], list[str]]:
    """Stages to check that ran, and those that did not yet: of `rounds`, or all that `targets` were made from.

    Raises `UserError` for a target that has not run.
    """
    for target in targets:
        if target not in lock:
            raise UserError(f"{target}: not run yet; run `stepkto repro {target}`")
    if targets:
        return find_lineage(lock, targets), []
    expected = [name for name in commands if name.partition("@")[2] in ("", *rounds)]
    return [name for name in expected if name in lock], [name for name in expected if name not in lock]


def describe_missing(missing: list[str], ran: list[str]) -> list[str]:
    """A line per round that is not finished, and one for stages that belong to no round."""
    by_round: dict[str, list[str]] = {}
    for name in missing:
        stage, _, round_name = name.partition("@")
        by_round.setdefault(round_name, []).append(stage)
    begun = {"", *(name.partition("@")[2] for name in ran)}
    lines = []
    for name, stages in by_round.items():
        which = f": {', '.join(stages)}" if name in begun else ""
        lines.append(f"{f'round {name}: ' if name else ''}not run yet{which}")
    return lines


def _is_given(path: str) -> bool:
    """Whether no stage writes `path`, such as code."""
    return not path.startswith(("data/", "models/"))


def _check_resolved_params(results: CheckResults, root: Path, entry: LockEntry, name: str) -> None:
    """A round's params file must follow from the recipe that stage params read."""
    file = f"reports/params/{name}.yaml"
    try:
        expected = resolve(entry.tracked_params, name)
        actual = parse_yaml((root / file).read_text(encoding="utf-8"))
    except (OSError, KeyError, ValueError, YAMLError) as error:
        results.add_error("lock", file, f"does not follow from params.yaml ({describe_error(error)})")
        return
    for key in sorted({*expected, *actual}):
        if isinstance(actual.get(key), dict):  # hashes of local files are not in params.yaml
            actual[key] = {name: value for name, value in actual[key].items() if name != FILE_HASHES}
        if expected.get(key) != actual.get(key):
            what = f"{key} is {actual.get(key)!r}; params.yaml gives {expected.get(key)!r}"
            results.add_error("lock", file, what)


def _get_value(params: Any, key: str) -> Any:
    """The value at a dotted key, None where there is none."""
    for name in key.split("."):
        params = params.get(name) if isinstance(params, dict) else None
    return params


def list_hashed_paths(
    lock: Lock, stages: Collection[str], outdated: Collection[str]
) -> list[tuple[str, str, str, str]]:
    """What to hash for `stages`: (check, path, md5, stages), every path and hash once.

    Outputs belong to check ``files``, or ``lock`` where a stage is out of date; inputs that no stage writes, code above
    all, to check ``code``.
    """
    producers = find_producers(lock)
    found: dict[tuple[str, str, str], list[str]] = {}
    for entry in (lock[name] for name in stages):
        outputs = "lock" if entry.name in outdated else "files"
        for path, md5 in entry.outs.items():
            found.setdefault((outputs, path, md5), []).append(entry.name)
        for path, md5 in entry.deps.items():
            if path not in producers:  # a folder of outputs, such as all reports, belongs to no single stage
                check = "code" if _is_given(path) else outputs
                found.setdefault((check, path, md5), []).append(entry.name)
    return [(*key, f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}") for key, names in found.items()]
