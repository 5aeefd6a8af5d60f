"""Decisions as a table for the console."""

from __future__ import annotations

from pathlib import Path

from tools.plan.decide import Decision

RESOLVER = "params"
"""The stage that writes the params in force."""

SHOWN = 3
"""Reasons of one kind that are written out for a stage."""


def render(decisions: list[Decision], recipe: str, journaled: list[str], journal: Path) -> str:
    """The whole plan: stages that run at most, stages that do not, counts, and what the journal saves."""
    runs = [d for d in decisions if d.runs]
    rests = [d for d in decisions if not d.runs]
    width = max((len(d.stage.name) for d in decisions), default=0)
    lines = []
    if runs:
        lines += [f"Will run at most, with {recipe}:", *(_row(d, width) for d in runs), ""]
    if rests:
        lines += ["Will not run:", *(_rest(d, {r.stage.name for r in runs}, width) for d in rests), ""]
    own = sum(bool(d.changes) for d in runs)
    lines.append(
        f"{len(runs)} of {len(decisions)} stages run at most ({own} changed, {len(runs) - own} only where their inputs "
        f"come out different); {len(rests)} do not."
        if runs
        else f"Nothing to run: all {len(decisions)} stages are as dvc.lock records them."
    )
    if journaled:
        names = ", ".join(journaled)
        lines.append(f"From the journal ({_size(journal)}): what {names} finished before is not done again.")
    return "\n".join(lines)


def _row(decision: Decision, width: int) -> str:
    reasons = []
    for kind in dict.fromkeys(kind for kind, _ in decision.changes):
        reasons.append(f"{kind}: {_some([what for other, what in decision.changes if other == kind])}")
    if not reasons:
        reasons.append(f"after {_some(list(decision.after))}")
    return f"  {decision.stage.name:<{width}}  {'; '.join(reasons)}"


def _rest(decision: Decision, running: set[str], width: int) -> str:
    stage = decision.stage
    reason = "unchanged"
    if RESOLVER in running and stage.params:
        reason = "unchanged: no param that this stage reads changes"
    return f"  {stage.name:<{width}}  {reason}"


def _some(parts: list[str]) -> str:
    more = len(parts) - SHOWN
    return ", ".join(parts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _size(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files) / 1e6
    return f"{folder}: {len(files)} files, {size:.1f} MB" if files else f"{folder}: empty so far"
