"""``python -m experiments methods``: methods at their best params, and those that read step labels with noise in them.

First every method's params are chosen: of as many tries for each the one with the highest Pass@1 on the validation
problems after one round, as a mean over tuning seeds; the first of equals. Then all run three rounds, on the test
problems. KTO reads no step labels, so noise in them changes nothing for it, and it runs once. A run that is stopped
goes on where it was, and parts of it (--methods, --seeds) are found by the whole. Worlds: experiments/method_params.py.
"""

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from experiments.chains import Chain, run_chains
from experiments.method_figure import draw_figure
from experiments.method_params import METHODS, STEP_METHODS, WORLDS, World, list_variants, name_noisy
from experiments.method_tables import format_choices, format_noise
from experiments.summary_tables import format_tables
from stages.common.errors import UserError
from stages.common.params.recipe import merge
from stages.common.tables import write_json

ROOT = Path("work/experiments/methods")


@dataclass(frozen=True)
class MethodsRun:
    """What is run: a part of the experiment, or all of it."""

    recipe: dict[str, Any]
    world: World
    root: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    num_tries: int
    num_rounds: int = 3
    num_tuning_rounds: int = 1
    jobs: int = 2

    @property
    def is_whole(self) -> bool:
        """Whether this is the experiment whose results are committed."""
        world, tries = self.world, len(self.world.tries[self.methods[0]])
        given = (self.methods, self.seeds, self.num_tries, self.num_rounds, self.num_tuning_rounds)
        return given == (world.methods, world.seeds, tries, 3, 1)


def tune(run: MethodsRun) -> list[dict[str, Any]]:
    """Every try: method, train (its params) and pass_at_1, a mean over tuning rounds for each tuning seed.

    Pass@1 is None for a seed on which training stopped itself.
    """
    tries = {
        f"{method}-try{number}": (method, train)
        for method in run.methods
        for number, train in enumerate(run.world.tries[method][: run.num_tries])
    }
    chains = [
        Chain(seed, name, {"train": train}, run.num_tuning_rounds)
        for seed in run.world.tuning_seeds
        for name, (_, train) in tries.items()
    ]
    recipe = merge(run.recipe, {"evaluate": {"split": "validation", "num_majority_samples": 0}})
    table = run_chains(chains, recipe, run.root / "tuning", run.jobs, run.root / "cache")
    is_trained = pl.col("last_trained").is_null().all()
    means = (
        table.filter(pl.col("round") != "M0")
        .group_by("chain", "seed")
        .agg(pl.when(is_trained).then(pl.col("pass_at_1").mean()))
        .sort("seed")
    )
    return [
        {"method": method, "train": train, "pass_at_1": means.filter(pl.col("chain") == name)["pass_at_1"].to_list()}
        for name, (method, train) in tries.items()
    ]


def choose(tries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each method's `train` params by the rule of this experiment; a try that stopped itself is not chosen.

    Raises `UserError` for a method of which every try did.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for one in tries:
        if None in one["pass_at_1"]:
            continue
        best = chosen.get(one["method"])
        if best is None or statistics.mean(one["pass_at_1"]) > statistics.mean(best["pass_at_1"]):
            chosen[one["method"]] = one
    for method in {one["method"] for one in tries} - set(chosen):
        raise UserError(f"{METHODS[method][1]}: training stopped itself in every try; lower the learning rates")
    return {method: one["train"] for method, one in chosen.items()}


def compare(run: MethodsRun, chosen: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """Metrics by seed, chain and round with the chosen params, with and without label noise."""
    chains = [
        Chain(seed, name_noisy(method, noise), _override(chosen[method], noise), run.num_rounds)
        for seed in run.seeds
        for method in run.methods
        for noise in (run.world.noise if method in STEP_METHODS else run.world.noise[:1])
    ]
    return run_chains(chains, run.recipe, run.root / "results", run.jobs, run.root / "cache")


def _override(train: dict[str, Any], noise: float) -> dict[str, Any]:
    return {"train": train, **({"judge": {"label_noise": noise}} if noise else {})}


def write_results(run: MethodsRun, tries: list[dict[str, Any]], table: pl.DataFrame, out: Path) -> str:
    """Write metrics (`out`.csv), choices (.json), tables (.md) and figure (.png); returns the tables."""
    out.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(out.with_suffix(".csv"))
    write_json(out.with_suffix(".json"), {"tries": tries, "chosen": choose(tries)})
    tables = format_results(table, tries, list(run.methods), run.num_rounds)
    out.with_suffix(".md").write_text(tables, encoding="utf-8")
    out.with_suffix(".png").write_bytes(draw_figure(fill_missing(table), list(run.methods), run.num_rounds))
    return tables


def fill_missing(table: pl.DataFrame) -> pl.DataFrame:
    """`table` with NaN for metrics that do not exist, such as the stepwise error where no answer is correct."""
    return table.with_columns(pl.col(pl.Float64).fill_null(float("nan")))


def format_results(table: pl.DataFrame, tries: list[dict[str, Any]], methods: list[str], num_rounds: int) -> str:
    """All tables in Markdown, from the committed metrics and tries alone."""
    table = fill_missing(table)
    variants = list_variants(methods)
    by_letter = {method: METHODS[method][0] for method in methods}
    named = table.filter(pl.col("chain").is_in(methods)).with_columns(
        round=pl.when(pl.col("round") == "M0")
        .then("round")
        .otherwise(pl.col("chain").replace_strict(by_letter, default=None) + pl.col("round").str.slice(1))
    )
    stopped = table.filter(pl.col("last_trained").is_not_null()).select("chain", "seed", "last_trained").unique()
    lines = [
        f"{chain}, seed {seed}: training of M{last + 1} stopped itself; later rounds have the policy before."
        for chain, seed, last in stopped.sort("chain", "seed").iter_rows()
    ]
    parts = [
        format_choices(tries, choose(tries)),
        # M0 is in every chain of a seed.
        format_tables(named.unique(["seed", "round"], keep="first", maintain_order=True), variants, num_rounds),
        format_noise(table, methods, num_rounds),
        "\n".join(lines or ["No training stopped itself."]) + "\n",
    ]
    return "\n".join(parts)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments methods", description=__doc__)
    parser.add_argument("--world", choices=sorted(WORLDS), default="toy_arithmetic")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), help="a part of the world's")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: the world's")
    parser.add_argument("--tries", type=int, help="the first so many params of each method")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tuning-rounds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="chains run side by side, one core each")
    parser.add_argument("--recipe", type=Path, help="default: the world's")
    parser.add_argument(
        "--root", type=Path, help=f"folder of workspaces, from which a run goes on; default: {ROOT}/WORLD"
    )
    parser.add_argument("--tune-only", action="store_true", help="choose params, and run no other seeds")
    parser.add_argument("--out", type=Path, help="writes OUT.csv, .json, .md and .png; default: where the world's "
                        "results are committed, or of a part of the experiment ROOT/part")  # fmt: skip
    given = parser.parse_args(arguments)
    world = WORLDS[given.world]
    run = MethodsRun(
        recipe=world.read_recipe(given.recipe),
        world=world,
        root=given.root or ROOT / given.world,
        methods=tuple(method for method in world.methods if given.methods is None or method in given.methods),
        seeds=tuple(given.seeds or world.seeds),
        num_tries=given.tries or len(world.tries[world.methods[0]]),
        num_rounds=given.rounds,
        num_tuning_rounds=given.tuning_rounds,
        jobs=given.jobs,
    )
    if not run.methods:
        parser.error(f"--methods: world {given.world} has {', '.join(world.methods)}")
    tries = tune(run)
    print(format_choices(tries, choose(tries)))
    if not given.tune_only:
        out = given.out or (world.out if run.is_whole and given.recipe is None else run.root / "part")
        print(write_results(run, tries, compare(run, choose(tries)), out))
