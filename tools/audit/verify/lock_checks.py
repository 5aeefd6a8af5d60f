"""The chain of hashes inside dvc.lock, and the settings that it records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from stages.common.params.block import ParamsError
from stages.common.params.recipe import SEED_POLICY, resolve
from tools.audit.check_results import CheckResults
from tools.dvc_lock import Lock, LockEntry, find_producers, parse_yaml
from tools.plan import stage_commands

CODE = "stages/"
ROUND_STAGES = ("sample", "split", "judge", "outcome", "dataset", "train", "evaluate")
SHARED_STAGES = ("code", "params", "problems", "seed_model", "evaluate_seed")


def check_lock(findings: CheckResults, root: Path, lock: Lock, rounds: list[str]) -> None:
    """Every stage of `rounds` must be there, must have read what others wrote, and had the settings of its round."""
    made_by = find_producers(lock)
    commands = stage_commands(root)
    for name in [*_stages_of(rounds), *({"report"} & lock.keys())]:
        findings.seen("lock", 1)
        if name not in lock:
            findings.fault("lock", "dvc.lock", f"no stage {name}; `dvc repro` has not run it yet")
            continue
        entry = lock[name]
        if entry.command != commands.get(name):
            what = f"ran {entry.command!r}; dvc.yaml says {commands.get(name)!r}"
            findings.fault("lock", f"dvc.lock: {name}", what)
        for path, md5 in entry.deps.items():
            maker = made_by.get(path)
            if maker is None and not _is_given(path) and not any(out.startswith(f"{path}/") for out in made_by):
                findings.fault("lock", f"dvc.lock: {name}", f"reads {path} (md5 {md5}), which no stage writes")
            elif maker is not None and lock[maker].outs[path] != md5:
                written = lock[maker].outs[path]
                findings.fault("lock", f"dvc.lock: {name}", f"read {path} as {md5}; {maker} wrote {written}")
        _check_settings(findings, root, entry)
    for name in (SEED_POLICY, *rounds):
        if "params" in lock:
            _check_resolved(findings, root, lock["params"], name)


def _stages_of(rounds: list[str]) -> list[str]:
    return [*SHARED_STAGES, *(f"{stage}@{name}" for name in rounds for stage in ROUND_STAGES)]


def _is_given(path: str) -> bool:
    """Code, and files that no stage makes."""
    return path.startswith(CODE) or not path.startswith(("data/", "models/"))


def _check_settings(findings: CheckResults, root: Path, entry: LockEntry) -> None:
    """Values that a stage tracked in a settings file must be those in the file."""
    for file, values in entry.params.items():
        try:
            settings = parse_yaml((root / file).read_text(encoding="utf-8"))
        except (OSError, YAMLError) as error:
            findings.fault("lock", file, f"unreadable ({' '.join(str(error).split())})")
            continue
        for key, value in values.items():
            found = _at(settings, key)
            if found != value:
                findings.fault("lock", f"dvc.lock: {entry.name}", f"ran with {key} {value!r}; {file} holds {found!r}")


def _check_resolved(findings: CheckResults, root: Path, entry: LockEntry, name: str) -> None:
    """A round's params file must follow from the recipe that stage params read."""
    file = f"reports/params/{name}.yaml"
    try:
        expected = resolve(entry.tracked, name)
        found = parse_yaml((root / file).read_text(encoding="utf-8"))
    except (OSError, KeyError, ParamsError, YAMLError) as error:
        findings.fault("lock", file, f"does not follow from params.yaml ({' '.join(str(error).split())})")
        return
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            findings.fault("lock", file, f"{key} is {found.get(key)!r}; params.yaml gives {expected.get(key)!r}")


def _at(settings: Any, key: str) -> Any:
    """The value at a dotted key, None where it leads nowhere."""
    for part in key.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def hashed_paths(lock: Lock, rounds: list[str]) -> list[tuple[str, str, str, str]]:
    """What is to be hashed for `rounds`: (check, path, md5, stages), every path and hash once.

    Outputs belong to check ``files``; inputs that no stage writes, code above all, to check ``code``.
    """
    made_by = find_producers(lock)
    named: dict[tuple[str, str, str], list[str]] = {}
    for entry in (lock[name] for name in [*_stages_of(rounds), "report"] if name in lock):
        for path, md5 in entry.outs.items():
            named.setdefault(("files", path, md5), []).append(entry.name)
        for path, md5 in entry.deps.items():
            if path not in made_by:
                # A folder of outputs, which the report reads whole.
                check = "code" if _is_given(path) else "files"
                named.setdefault((check, path, md5), []).append(entry.name)
    return [
        (*key, f"{stages[0]}{f' and {len(stages) - 1} more' if stages[1:] else ''}") for key, stages in named.items()
    ]
