"""Which stages run at most, and why, as a table.

An upper bound: a stage that differs from dvc.lock runs, and whatever comes after it may. DVC skips the latter if their
inputs come out the same. What stages `code` and `params` write is compared by content, so that it reaches only the
stages that it concerns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.dvc_lock import Lock, LockEntry
from tools.plan.expected import WRITERS, Expected
from tools.plan.graph import StageState

MAX_REASONS = 3
"""Reasons of one kind that are written out for a stage."""


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


def _list_changes(
    stage: StageState, locked: LockEntry, expected: Expected, running: set[str]
) -> list[tuple[str, str]]:
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


def render_plan(decisions: list[Decision], recipe: str, journal: Path) -> str:
    """The whole plan: stages that run at most, stages that do not, counts, and the size of the journal."""
    runs, rests = [d for d in decisions if d.runs], [d for d in decisions if not d.runs]
    if not runs:
        return f"Nothing to run: all {len(decisions)} stages are as dvc.lock records them."
    width = max(len(decision.stage.name) for decision in decisions)
    num_changed = sum(bool(decision.changes) for decision in runs)
    lines = [f"Will run at most, with {recipe}:"]
    lines += [f"  {decision.stage.name:<{width}}  {_describe(decision)}" for decision in runs]
    if rests:
        lines += ["", f"Will not run: {', '.join(decision.stage.name for decision in rests)}"]
    lines += [
        "",
        f"{len(runs)} of {len(decisions)} stages run at most ({num_changed} changed, {len(runs) - num_changed} only if "
        f"their inputs come out different); {len(rests)} do not.",
    ]
    files = [path for path in journal.rglob("*") if path.is_file()] if journal.is_dir() else []
    size = sum(path.stat().st_size for path in files) / 1e6
    lines += [f"What {journal} holds ({len(files)} files, {size:.1f} MB) is not done again."] if files else []
    return "\n".join(lines)


def _describe(decision: Decision) -> str:
    kinds = {kind: [what for other, what in decision.changes if other == kind] for kind, _ in decision.changes}
    return "; ".join(f"{kind}: {_list_some(what)}" for kind, what in kinds.items()) or f"after {_list_some(decision.after)}"


def _list_some(parts: list[str] | tuple[str, ...]) -> str:
    more = len(parts) - MAX_REASONS
    return ", ".join(parts[:MAX_REASONS]) + (f" and {more} more" if more > 0 else "")
