"""Why a stage gives other rows than at an earlier revision: what differs between two entries of dvc.lock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.common.text import shorten_for_terminal
from tools.audit.verify.lock_checks import CODE
from tools.dvc_lock import Lock, LockEntry, find_producers, flatten_params

_ABSENT = object()


def reasons(old: Lock, new: Lock, stage: str, through: bool) -> list[str]:
    """What changed for `stage`: its settings, code, command; with `through`, or where that is nothing, its inputs too.

    An input that another stage writes is followed to what changed there. Each line begins with the stage's name.
    """
    return list(dict.fromkeys(_reasons(old, new, stage, through, set())))


def _reasons(old: Lock, new: Lock, stage: str, through: bool, passed: set[str]) -> Iterator[str]:
    passed.add(stage)
    if stage not in old or stage not in new:
        yield f"{stage}: is not in dvc.lock {'then' if stage not in old else 'now'}"
        return
    own = [f"{stage}: {what}" for what in _own(old[stage], new[stage])]
    yield from own
    if own and not through:
        return
    made_by = find_producers(new)
    for path in _changed(old[stage].deps, new[stage].deps):
        maker = made_by.get(path)
        if maker is not None and maker not in passed:
            yield from _reasons(old, new, maker, through, passed)


def _own(old: LockEntry, new: LockEntry) -> Iterator[str]:
    before, after = dict(flatten_params(old.tracked)), dict(flatten_params(new.tracked))
    for key in _changed(before, after):
        yield f"{key} {_said(before.get(key, _ABSENT))} -> {_said(after.get(key, _ABSENT))}"
    made = new.outs.keys() | old.outs.keys()
    for path in _changed(old.deps, new.deps):
        if path.startswith(CODE) or (path not in made and not path.startswith(("data/", "models/", "reports/"))):
            yield f"code {path}" if path.startswith(CODE) else path
    if old.command != new.command:
        yield "command"


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    keys = sorted({*before, *after})
    return [key for key in keys if before.get(key, _ABSENT) != after.get(key, _ABSENT)]


def _said(value: object) -> str:
    return "absent" if value is _ABSENT else shorten_for_terminal(str(value), 80)
