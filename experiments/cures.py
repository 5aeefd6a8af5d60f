"""``python -m experiments cures``: what keeps correct text likely on school problems.

At the rate at which Step-KTO stopped itself in the search (``python -m experiments methods --world school``), each cure
trains one round from M0 on the same rows, and is evaluated on the validation problems.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl

from experiments.chains import Chain, run_chains
from experiments.method_params import WORLDS
from experiments.methods import ROOT
from experiments.summary_tables import format_header, format_row
from stages.common.params.recipe import merge

OUT = Path("docs/results/smollm2/cures")

_STOPPED = {"method": "step_kto", "beta": 5.0, "learning_rate": 1e-5}
CURES: dict[str, tuple[str, dict[str, Any]]] = {
    "rate": ("`learning_rate: 3e-6`", _STOPPED | {"learning_rate": 3e-6}),
    "nll": ("`nll_weight: 1`", _STOPPED | {"nll_weight": 1.0}),
    "beta": ("`beta: 0.5`", _STOPPED | {"beta": 0.5}),
}
"""By name of the chain: title and `train` params."""

LOG_RATIOS = {
    "log_ratios/chosen/token": "correct completions",
    "steps/log_ratios/correct/token": "correct steps",
}
"""In nats per token, as means over the steps between two entries of a training's history."""


def read_row(name: str, rounds: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """Metrics of M1 from `rounds`, a chain's, and log-ratios from the report of its training; those are absent if it
    stopped itself."""
    after = rounds.row(by_predicate=pl.col("round") == "M1", named=True)
    metrics = [f"{metric}{end}" for metric in ("pass_at_1", "stepwise_error") for end in ("", "_low", "_high")]
    if after["last_trained"] is not None:
        return {"cure": name, "is_stopped": True}
    report = json.loads((folder / "data" / "reports" / "train" / "M1.json").read_text(encoding="utf-8"))
    ratios = {key: [entry[key] for entry in report["history"]] for key in LOG_RATIOS}
    return {
        "cure": name,
        "is_stopped": False,
        **{metric: after[metric] for metric in metrics},
        **{f"{key} {which}": round(value, 6) for key, values in ratios.items()
           for which, value in (("lowest", min(values)), ("last", values[-1]))},
    }  # fmt: skip


def format_table(table: pl.DataFrame) -> str:
    """Markdown: Pass@1 and stepwise error in percent with 95% intervals, log-ratios in nats per token."""
    heads = ["Step-KTO at 1e-5, with", "Pass@1", "correct answer, incorrect step"]
    lines = format_header(
        [*heads, *(f"{title}, {which}" for title in LOG_RATIOS.values() for which in ("lowest", "last"))]
    )
    for row in table.iter_rows(named=True):
        cells = ["stopped itself", *[""] * 5] if row["is_stopped"] else [
            *(f"{100 * row[it]:.1f} [{100 * row[f'{it}_low']:.1f}, {100 * row[f'{it}_high']:.1f}]"
              for it in ("pass_at_1", "stepwise_error")),
            *(f"{row[f'{key} {which}']:.3f}" for key in LOG_RATIOS for which in ("lowest", "last")),
        ]  # fmt: skip
        lines.append(format_row([CURES[row["cure"]][0], *cells]))
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments cures", description=__doc__)
    parser.add_argument("--cures", nargs="+", choices=list(CURES), default=list(CURES), help="a part of them")
    parser.add_argument("--jobs", type=int, default=2, help="chains run side by side, one core each")
    given = parser.parse_args(arguments)
    world, root = WORLDS["school"], ROOT / "school"
    recipe = merge(world.read_recipe(), {"evaluate": {"split": "validation", "num_majority_samples": 0}})
    chains = [Chain(world.seeds[0], name, {"train": CURES[name][1]}, 1) for name in given.cures]
    rounds = run_chains(chains, recipe, root / "cures", given.jobs, root / "cache")
    rows = [
        read_row(
            chain.name, rounds.filter(pl.col("chain") == chain.name), root / "cures" / f"{chain.seed}-{chain.name}"
        )
        for chain in chains
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    if given.cures == list(CURES):
        table.write_csv(OUT.with_suffix(".csv"))
        OUT.with_suffix(".md").write_text(format_table(table), encoding="utf-8")
    print(format_table(table))
