"""``python -m experiments transfer GSM8K``: policies trained on school problems, on problems that people wrote.

GSM8K is the benchmark's test.jsonl (github.com/openai/grade-school-math). Its problems whose solution has at most three
equations are taken, and of these the first 300 by id. A false equality is what the judge's rule `arithmetic` calls an
incorrect step. Policies are M0 and each method's last one of ``python -m experiments methods``, with the params that
were chosen there.
"""

import argparse
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from experiments.chains import Chain
from experiments.method_params import METHODS, WORLDS, World
from experiments.methods import ROOT
from experiments.summary_tables import format_header, format_row
from experiments.workspace import make_workspace, reproduce
from stages.common.errors import UserError
from stages.common.params.block import load
from stages.common.params.recipe import merge
from stages.common.params.tables import TablesParams
from stages.common.provenance import compute_sha256
from stages.common.raw_rows import read_objects
from stages.common.statistics import Bootstrap, Counts, compare_counts, count_by_problem
from stages.common.tables import LABEL, OUTCOME, SAMPLE, read_table

NAME = "gsm8k"
MAX_EQUATIONS = 3
NUM_PROBLEMS = 300
NUM_ROUNDS = 3
PROBLEMS = Path("work/experiments/gsm8k.jsonl")
OUT = Path("docs/results/smollm2/transfer")
METRICS = {"pass_at_1": "Pass@1", "false_equality": "solutions with a false equality"}
BOOTSTRAP = Bootstrap(num_samples=10_000, seed=0)

_EQUATION = re.compile(r"<<[^<>]*>>")
_ANSWER = "\n#### "


@dataclass(frozen=True)
class PolicyCounts:
    """What one policy did: counts of `METRICS` by problem."""

    method: str
    """Empty for M0, which all methods share."""
    round: str
    counts: dict[str, Counts]


def write_problems(source: Path, target: Path) -> None:
    """Write the problems of GSM8K's file `source` that have at most `MAX_EQUATIONS` equations; a row as benchmarks are.

    Raises `UserError` naming the row for what is no problem of GSM8K.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as lines:
        for location, row in read_objects(source):
            question, answer = row.get("question"), row.get("answer")
            if not isinstance(question, str) or not isinstance(answer, str) or _ANSWER not in answer:
                raise UserError(f"{location}: expected question, and answer with ####; name GSM8K's test.jsonl")
            if len(_EQUATION.findall(answer)) <= MAX_EQUATIONS:
                solution, gold = _EQUATION.sub("", answer).split(_ANSWER)
                lines.write(json.dumps({"problem": question, "answer": gold, "solution": solution}) + "\n")


def evaluate_chain(chain: Chain, recipe: dict[str, Any], rounds: list[str], root: Path, cache: Path) -> list[Path]:
    """Evaluate the policies of `rounds` of a finished chain; the folder of each evaluation's tables."""
    folder = root / f"{chain.seed}-{chain.name}"
    make_workspace(folder, chain.make_recipe(recipe), cache)
    stages = tuple("evaluate_seed" if name == "M0" else f"evaluate@{name}" for name in rounds)
    reproduce(folder, folder.with_suffix(".log"), stages)
    return [folder / "data" / "evaluations" / name / "benchmarks" / NAME for name in rounds]


def count_false_equalities(folder: Path, digits: int) -> dict[str, Counts]:
    """Counts of `METRICS` from the evaluation's tables in `folder`, whose judge is the rule `arithmetic` alone."""
    incorrect = read_table(folder / "labels", LABEL, digits).filter(~pl.col("label")).select("sample_id").unique()
    outcomes = read_table(folder / "outcomes", OUTCOME, digits).select("sample_id", "is_correct")
    rows = (
        read_table(folder / "samples", SAMPLE, digits)
        .join(outcomes, on="sample_id", how="left", validate="1:1")
        .join(incorrect.with_columns(is_false=pl.lit(True)), on="sample_id", how="left", validate="1:1")
    )
    one = pl.lit(True)
    return {
        "pass_at_1": count_by_problem(rows, pl.col("is_correct").fill_null(False), one),
        "false_equality": count_by_problem(rows, pl.col("is_false").fill_null(False), one),
    }


def make_table(policies: list[PolicyCounts]) -> pl.DataFrame:
    """A row per policy and metric: value, its interval, and the difference from the first policy with its own."""
    rows = []
    for policy in policies:
        for metric, counts in policy.counts.items():
            estimate = BOOTSTRAP.estimate_ratio(counts.numerators, counts.denominators)
            change = compare_counts(policies[0].counts[metric], counts, BOOTSTRAP)
            changes = {} if change is None or policy is policies[0] else {
                "change": change.difference, "change_low": change.low, "change_high": change.high
            }  # fmt: skip
            rows.append(
                {"method": policy.method, "round": policy.round, "metric": metric, **estimate.to_dict(), **changes}
            )
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col(pl.Float64).round(6))


def format_table(table: pl.DataFrame) -> str:
    """Markdown of `make_table`'s rows, in percent and percentage points."""
    lines = format_header(["percent [95% interval over problems]", *METRICS.values()])
    for (method, name), rows in table.group_by("method", "round", maintain_order=True):
        cells = []
        for row in rows.iter_rows(named=True):
            cell = f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
            if row["change"] is not None:
                low, high = 100 * row["change_low"], 100 * row["change_high"]
                cell += f"; {100 * row['change']:+.1f} points [{low:.1f}, {high:.1f}]"
            cells.append(cell)
        lines.append(format_row([f"{METHODS[str(method)][1]} {name}" if method else str(name), *cells]))
    return "\n".join(lines) + "\n"


def evaluate_methods(world: World, methods: list[str], num_rounds: int, jobs: int) -> list[PolicyCounts]:
    """M0, then the last policy of each of `methods`, on the problems of `PROBLEMS`."""
    chosen = json.loads(world.out.with_suffix(".json").read_text(encoding="utf-8"))["chosen"]
    benchmark = {"file": {"path": str(PROBLEMS), "sha256": compute_sha256(PROBLEMS)}}
    recipe = merge(world.read_recipe(), {
        "evaluate": {
            "split": None, "benchmarks": {NAME: benchmark}, "num_problems": NUM_PROBLEMS, "num_majority_samples": 0,
            "judge": {"kind": "rules", "rules": ["arithmetic"]},
        },
    })  # fmt: skip
    chains = [Chain(world.seeds[0], method, {"train": chosen[method]}, num_rounds) for method in methods]
    names = [["M0"] * (chain is chains[0]) + [f"M{num_rounds}"] for chain in chains]
    root, cache = PROBLEMS.parent / "transfer", ROOT / "school" / "cache"
    digits = load(TablesParams, world.recipe, "tables").shard_digits
    with ThreadPoolExecutor(jobs) as pool:
        folders = list(
            pool.map(lambda chain, rounds: evaluate_chain(chain, recipe, rounds, root, cache), chains, names)
        )
    return [
        PolicyCounts("" if name == "M0" else chain.name, name, count_false_equalities(folder, digits))
        for chain, rounds, evaluated in zip(chains, names, folders, strict=True)
        for name, folder in zip(rounds, evaluated, strict=True)
    ]


def main(arguments: list[str]) -> None:
    world = WORLDS["school"]
    parser = argparse.ArgumentParser(prog="python -m experiments transfer", description=__doc__)
    parser.add_argument("gsm8k", type=Path)
    parser.add_argument("--methods", nargs="+", choices=world.methods, default=list(world.methods))
    parser.add_argument("--rounds", type=int, default=NUM_ROUNDS, help="the last round of the methods' chains")
    parser.add_argument("--jobs", type=int, default=2, help="chains run side by side, one core each")
    given = parser.parse_args(arguments)
    write_problems(given.gsm8k, PROBLEMS)
    table = make_table(evaluate_methods(world, given.methods, given.rounds, given.jobs))
    if tuple(given.methods) == world.methods and given.rounds == NUM_ROUNDS:  # a part is printed alone
        table.write_csv(OUT.with_suffix(".csv"))
        OUT.with_suffix(".md").write_text(format_table(table), encoding="utf-8")
    print(format_table(table))
