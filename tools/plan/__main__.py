"""``python -m tools.plan``: which stages a run would execute at most, which not, and why. Runs nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from stages.common.console import run
from stages.common.params.recipe import read_recipe
from tools.plan.asking import Sizes, askings, render_askings
from tools.plan.decide import Decision, decide
from tools.plan.graph import RECIPE, read_graph
from tools.plan.settings import WouldBe
from tools.plan.table import render

JOURNAL = Path("work/journal")
DATA = Path("data")
JOURNALED = ("stages.sample", "stages.judge", "stages.train", "stages.evaluate")
"""Stages that take finished items from the journal; training, its reference's log-probs."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.plan", description=__doc__)
    parser.add_argument("--recipe", type=Path, help="plan as if this recipe were copied over params.yaml")
    recipe = parser.parse_args().recipe
    read_recipe(recipe or Path(RECIPE))
    stages = read_graph(recipe=recipe)
    settings = WouldBe(stages, recipe=recipe)
    decisions = decide(stages, settings)
    print(render(decisions, str(recipe or RECIPE), _journaled(decisions), JOURNAL))
    remade = any(decision.runs and decision.stage.module == "stages.problems" for decision in decisions)
    if asked := render_askings(askings(decisions, settings, Sizes(DATA)), remade):
        print(f"\n{asked}")


def _journaled(decisions: list[Decision]) -> list[str]:
    """Groups of stages that would run and keep a journal."""
    names = [d.stage.name.partition("@")[0] for d in decisions if d.runs and d.stage.module in JOURNALED]
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    run(main)
