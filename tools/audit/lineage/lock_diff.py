"""Why a stage gives other rows than at an earlier revision: what differs between two entries of dvc.lock."""

from collections.abc import Iterator
from typing import Any

from stages.common.text import shorten_for_terminal
from tools.dvc_lock import Lock, LockEntry, find_producers, flatten_params

CODE = ("stages/", "reports/code/")
GENERATED = ("data/", "models/", "reports/")
MAX_VALUE_CHARS = 80

_ABSENT = object()


def explain_change(old: Lock, new: Lock, stage: str, with_inputs: bool) -> list[str]:
    """What changed for `stage`: params, code, command; with `with_inputs`, or where that is nothing, its inputs too.

    An input that another stage writes is followed to what changed there. Each line begins with the stage's name.
    """
    return list(dict.fromkeys(_explain(old, new, stage, with_inputs, set())))


def _explain(old: Lock, new: Lock, stage: str, with_inputs: bool, visited: set[str]) -> Iterator[str]:
    visited.add(stage)
    if stage not in old or stage not in new:
        yield f"{stage}: is not in dvc.lock {'then' if stage not in old else 'now'}"
        return
    changes = [f"{stage}: {change}" for change in _list_own_changes(old[stage], new[stage])]
    yield from changes
    if changes and not with_inputs:
        return
    producers = find_producers(new)
    for path in _find_changed_keys(old[stage].deps, new[stage].deps):
        producer = producers.get(path)
        if producer is not None and producer not in visited:
            yield from _explain(old, new, producer, with_inputs, visited)


def _list_own_changes(old: LockEntry, new: LockEntry) -> Iterator[str]:
    before, after = dict(flatten_params(old.tracked_params)), dict(flatten_params(new.tracked_params))
    for key in _find_changed_keys(before, after):
        yield f"{key} {_format_value(before.get(key, _ABSENT))} -> {_format_value(after.get(key, _ABSENT))}"
    for path in _find_changed_keys(old.deps, new.deps):
        if path.startswith(CODE):
            yield f"code {path}"
        elif not path.startswith(GENERATED):
            yield path
    if old.command != new.command:
        yield "command"


def _find_changed_keys(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [key for key in sorted({*before, *after}) if before.get(key, _ABSENT) != after.get(key, _ABSENT)]


def _format_value(value: object) -> str:
    return "absent" if value is _ABSENT else shorten_for_terminal(str(value), MAX_VALUE_CHARS)
