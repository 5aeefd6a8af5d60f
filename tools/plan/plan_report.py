"""The plan as text for the console."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.common.params.recipe import read_recipe
from tools.dvc_lock import LOCK, read_lock
from tools.overrides import render_with_overrides
from tools.plan.assumptions import Assumptions, assume_splits, read_assumptions
from tools.plan.decide import Decision, decide
from tools.plan.expected import Expected
from tools.plan.graph import RECIPE, read_graph
from tools.plan.llm_cost import InputSizes, estimate_llm_cost, estimate_selected, render_estimates

JOURNAL = Path("work/journal")
DATA = Path("data")
MAX_REASONS = 3
"""Reasons of one kind that are written out for a stage."""


def show_plan(
    recipe: Path | None = None, root: Path = Path(), assumed: Sequence[str] = (), overrides: Sequence[str] = ()
) -> str:
    """What a run in `root` would do with the recipe in force, or with `recipe`, and what it costs.

    `overrides` are keys set for the plan alone (``KEY=VALUE``); the recipe stays as it is. Where there are no problems
    yet, their number and sizes are assumed, as far as `assumed` does not give them (`Assumptions`, ``NAME=VALUE``).
    Raises `ParamsError`, `UserError`.
    """
    if overrides:
        text = render_with_overrides(recipe or root / RECIPE, overrides)
        with tempfile.TemporaryDirectory() as folder:
            changed = Path(folder, RECIPE)
            changed.write_text(text, encoding="utf-8")
            name = f"{recipe or RECIPE} and {', '.join(overrides)}"
            return _show_plan(changed, name, root, assumed)
    return _show_plan(recipe, str(recipe or RECIPE), root, assumed)


def _show_plan(recipe: Path | None, name: str, root: Path, assumed: Sequence[str]) -> str:
    params, assumptions = read_recipe(recipe or root / RECIPE), read_assumptions(assumed)
    stages = read_graph(root, recipe)
    expected = Expected(stages, root, recipe)
    lock = read_lock(root) if (root / LOCK).is_file() else {}
    decisions = decide(stages, lock, expected)
    texts = [render_decisions(decisions, name, root / JOURNAL)]
    sizes = InputSizes(root / DATA)
    makes_problems = any(decision.runs and decision.stage.name == "problems" for decision in decisions)
    note = "Sizes are those of the last run's problems, which would be made again." if makes_problems else ""
    if makes_problems and (assumptions.rows or not sizes.splits):
        splits, text = assume_splits(params.problems, params.seed, assumptions)
        sizes = InputSizes(root / DATA, splits)
        stated = ", ".join(f"{name}={value}" for name, value in assumptions if value is not None)
        note = f"Problems: {text}.\nAssumed, since there are none yet (change it by --assume NAME=VALUE): {stated}."
    estimates = estimate_llm_cost(decisions, expected, sizes, assumptions)
    texts += [render_estimates(estimates, assumptions), note if estimates or not sizes.splits else ""]
    texts.append("\n".join(_describe_scope(decisions, expected, sizes, assumptions)) if estimates else "")
    return "\n\n".join(text for text in texts if text)


def _describe_scope(
    decisions: list[Decision], expected: Expected, sizes: InputSizes, assumptions: Assumptions
) -> Iterator[str]:
    """For each judge that would run, which samples it labels; rounds with the same are named together."""
    rounds: dict[str, list[str]] = {}
    for decision in decisions:
        if decision.runs and decision.stage.module == "stages.judge":
            params = expected.read_params(decision.stage)
            text = "all samples (judge.scope: all)"
            if params["judge"]["scope"] == "selected":
                fraction, origin = estimate_selected(params, sizes, assumptions.selected)
                text = f"{fraction:.2%} of the samples, {origin} (--assume selected=FRACTION)"
            rounds.setdefault(text, []).append(decision.stage.name)
    yield from (f"Judged by {', '.join(names)}: {text}." for text, names in rounds.items())


def render_decisions(decisions: list[Decision], recipe: str, journal: Path) -> str:
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
    reasons = [f"{kind}: {_list_some(what)}" for kind, what in kinds.items()]
    return "; ".join(reasons) or f"after {_list_some(decision.after)}"


def _list_some(parts: list[str] | tuple[str, ...]) -> str:
    more = len(parts) - MAX_REASONS
    return ", ".join(parts[:MAX_REASONS]) + (f" and {more} more" if more > 0 else "")
