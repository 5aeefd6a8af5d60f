"""``python -m tools.plan``: which stages a run would execute at most, which not, and why. Runs nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from stages.common.console import run
from tools.plan.plan_report import show_plan


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.plan", description=__doc__)
    parser.add_argument("--recipe", type=Path, help="plan as if this recipe were copied over params.yaml")
    print(show_plan(parser.parse_args().recipe))


if __name__ == "__main__":
    run(main)
