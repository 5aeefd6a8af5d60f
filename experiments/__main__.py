"""``python -m experiments``: variants of the recipe's rounds over new seeds; writes tables and a plot to docs/results/.

Other commands have a ``--help`` of their own: ``methods``, ``paired``, ``cures``, ``curves``, ``transfer``, ``worlds``.

A seed changes everything random: the problems of every split, M0's corpus and weights, samples and training order.
Seeds from 101 on were never used to choose params.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from experiments import cures, curves, methods, paired, transfer, worlds
from experiments.plot import draw_plot
from experiments.summary_tables import format_tables
from experiments.variants import EXPERIMENTS, RECIPES, build_rounds
from experiments.workspace import make_workspace, reproduce
from stages.common.console import run
from stages.common.params.block import read_yaml

WORK_ROOT = Path("work/experiments")
FIRST_NEW_SEED = 101

COMMANDS = {
    "cures": cures.main,
    "curves": curves.main,
    "methods": methods.main,
    "paired": paired.main,
    "transfer": transfer.main,
    "worlds": worlds.main,
}
"""What is no experiment on variants, by name."""


def run_seed(experiment: str, seed: int, rounds: int) -> pl.DataFrame:
    """Run all variants for one seed; returns reports/rounds.csv with a column `seed`."""
    folder = WORK_ROOT / experiment / str(seed)
    recipe = read_yaml(Path("params.yaml"))
    recipe |= {"seed": seed, "rounds": build_rounds(EXPERIMENTS[experiment], rounds), **RECIPES.get(experiment, {})}
    make_workspace(folder, recipe, WORK_ROOT / "cache")
    reproduce(folder, WORK_ROOT / experiment / f"{seed}.log")
    return pl.read_csv(folder / "reports" / "rounds.csv").with_columns(seed=pl.lit(seed))


def write_results(table: pl.DataFrame, experiment: str, rounds: int, out: Path) -> str:
    """Write the metrics by seed (`out`.csv), tables (.md) and plot (.png); returns the tables."""
    variants = EXPERIMENTS[experiment]
    tables = format_tables(table, variants, rounds)
    out.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(out.with_suffix(".csv"))
    out.with_suffix(".md").write_text(tables, encoding="utf-8")
    out.with_suffix(".png").write_bytes(draw_plot(table, variants, rounds))
    return tables


def main() -> None:
    if (command := COMMANDS.get(sys.argv[1] if sys.argv[1:] else "")) is not None:
        command(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("experiment", choices=sorted(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    parser.add_argument("--first", type=int, default=FIRST_NEW_SEED, help="the first of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="seeds run side by side, one core each")
    parser.add_argument("--out", type=Path, help="writes OUT.csv, .md and .png; default: docs/results/EXPERIMENT")
    arguments = parser.parse_args()
    experiment, rounds = arguments.experiment, arguments.rounds
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        table = pl.concat(pool.map(lambda seed: run_seed(experiment, seed, rounds), seeds))
    print(write_results(table, experiment, rounds, arguments.out or Path("docs/results") / experiment))


if __name__ == "__main__":
    run(main)
