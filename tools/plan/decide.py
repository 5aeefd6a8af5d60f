"""From differences to decisions: which stages run at most, and why.

An upper bound: a stage that differs from dvc.lock runs, and whatever comes after it may. DVC skips the latter where
their inputs come out the same. Settings files are no inputs in this sense: what a stage tracks in them is compared
value by value, so that another setting's change does not reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.plan.code import changed_files
from tools.plan.graph import Dep, Stage
from tools.plan.settings import WouldBe

CODE = "stages/"


@dataclass(frozen=True)
class Decision:
    """Whether a stage runs. `changes` are (kind, what) of the stage's own; `after` are stages before it that run."""

    stage: Stage
    changes: tuple[tuple[str, str], ...]
    after: tuple[str, ...]

    @property
    def runs(self) -> bool:
        return bool(self.changes or self.after)


def decide(stages: list[Stage], settings: WouldBe, root: Path = Path()) -> list[Decision]:
    """One decision per stage, in the order of `stages`, where each comes after those that it depends on."""
    running: set[str] = set()
    decisions = []
    for stage in stages:
        after = sorted({name for dep in stage.deps for name in dep.made_by} & running)
        changes = _changes(stage, settings, running, root) if stage.recorded else [("new", "has never run")]
        decision = Decision(stage, tuple(changes), tuple(after))
        if decision.runs:
            running.add(stage.name)
        decisions.append(decision)
    return decisions


def _changes(stage: Stage, settings: WouldBe, running: set[str], root: Path) -> list[tuple[str, str]]:
    changes = [("param", line) for line in settings.changes(stage)]
    if stage.command_changed:
        changes.append(("command", "not the one that ran"))
    for dep in stage.deps:
        if dep.change and not running.intersection(dep.made_by):  # else it is the input's maker that is to be named
            changes.extend(_name(dep, root))
    changes.extend(("output", f"{path} {state}") for path, state in stage.outs.items() if state)
    return changes


def _name(dep: Dep, root: Path) -> list[tuple[str, str]]:
    if dep.made_by or not f"{dep.path}/".startswith(CODE):
        return [("input", f"{dep.path} {dep.change}")]
    if dep.change == "changed" and dep.locked and (root / dep.path).is_dir():
        return [("code", path) for path in changed_files(root, dep.path, dep.locked)]
    return [("code", dep.path if dep.change == "changed" else f"{dep.path} {dep.change}")]
