"""Which stages run at most, and why.

An upper bound: a stage that differs from dvc.lock runs, and whatever comes after it may. DVC skips the latter if their
inputs come out the same. What stages `code` and `params` write is compared by content, so that it reaches only the
stages that it concerns.
"""

from dataclasses import dataclass

from tools.dvc_lock import Lock, LockEntry
from tools.plan.expected import WRITERS, Expected
from tools.plan.graph import StageState


@dataclass(frozen=True)
class Decision:
    """Whether a stage runs. `changes` are (kind, what) of the stage's own; `after` are stages before it that run."""

    stage: StageState
    changes: tuple[tuple[str, str], ...]
    after: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        return bool(self.changes or self.after)


def decide(stages: list[StageState], lock: Lock, expected: Expected) -> list[Decision]:
    """One decision per stage, in the order of `stages`, where each comes after those that it depends on."""
    compared = {stage.name for stage in stages if stage.module in WRITERS}
    running: set[str] = set()
    decisions = []
    for stage in stages:
        after = sorted({maker for makers in stage.deps.values() for maker in makers} & running - compared)
        locked = lock.get(stage.name)
        changes = [("new", "has never run")] if locked is None else _list_changes(stage, locked, expected, running)
        decision = Decision(stage, tuple(changes), tuple(after))
        if decision.runs:
            running.add(stage.name)
        decisions.append(decision)
    return decisions


def _list_changes(stage: StageState, locked: LockEntry, expected: Expected, running: set[str]) -> list[tuple[str, str]]:
    changes = list(expected.compare(stage, locked))
    if stage.command != locked.command:
        changes.append(("command", "not the one that ran"))
    for path, state in stage.changes.items():
        if path in stage.outs:
            changes.append(("output", f"{path} {state}"))
        # An input that a running stage writes is that stage's reason; a file of code is compared above.
        elif not running.intersection(stage.deps[path]) and not expected.has_code(path):
            changes.append(("input", f"{path} {state}"))
    return changes
