"""``python -m experiments``: the recipe's rounds and other arms over fresh seeds; writes a table into docs/results/.

A seed changes everything random: the problems of every split, M0's corpus and weights, samples and training order.
Seeds from 101 on were never used to choose a setting.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from experiments.arms import STUDIES, arm_rounds
from experiments.picture import draw
from experiments.summary import summarise
from experiments.workspace import make_workspace, reproduce
from stages.common.console import run
from stages.common.params.block import read_yaml

ROOT = Path("work/study")
FRESH = 101


def run_seed(study: str, seed: int, rounds: int) -> pl.DataFrame:
    """Run all arms for one seed; returns the report's table with a column `seed`."""
    folder = ROOT / study / str(seed)
    recipe = read_yaml(Path("params.yaml"))
    make_workspace(folder, {**recipe, "seed": seed, "rounds": arm_rounds(STUDIES[study], rounds)}, ROOT / "cache")
    reproduce(folder, ROOT / study / f"{seed}.log")
    return pl.read_csv(folder / "reports" / "rounds.csv").with_columns(seed=pl.lit(seed))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    parser.add_argument("--first", type=int, default=FRESH, help="the first of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="seeds run side by side, one core each")
    parser.add_argument(
        "--out", type=Path, help="table, figures and picture, OUT.md, .csv and .png; docs/results/STUDY by default"
    )
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        tables = list(pool.map(lambda seed: run_seed(arguments.study, seed, arguments.rounds), seeds))
    table = pl.concat(tables)
    out: Path = arguments.out or Path("docs/results") / arguments.study
    out.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(out.with_suffix(".csv"))
    text = summarise(table, STUDIES[arguments.study], arguments.rounds)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    out.with_suffix(".png").write_bytes(draw(table, STUDIES[arguments.study], arguments.rounds))
    print(text)


if __name__ == "__main__":
    run(main)
