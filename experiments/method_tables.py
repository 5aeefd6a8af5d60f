"""Tables of the experiment on methods: what was chosen for each, and what label noise does."""

import statistics
from collections.abc import Mapping
from typing import Any

import polars as pl

from experiments.method_params import METHODS, NOISE, STEP_METHODS, name_noisy
from experiments.summary_tables import METRICS, STEPWISE_ERROR, compute_half_width, format_header, format_row

SHOWN_PARAMS = {"learning_rate": "lr", "beta": "beta", "simpo_gamma": "gamma", "nll_weight": "nll"}


def select_values(table: pl.DataFrame, chain: str, number: int, metric: str) -> list[float]:
    """Percentages of a chain's round, one per seed, in the order of the seeds."""
    rows = table.filter((pl.col("chain") == chain) & (pl.col("round") == f"M{number}")).sort("seed")
    percentages: list[float] = (rows[metric] * 100).to_list()
    return percentages


def format_choices(tries: list[dict[str, Any]], chosen: Mapping[str, dict[str, Any]]) -> str:
    """Each method's params, and the validation Pass@1 of all tries."""
    lines = [
        "Validation Pass@1 in percent after one round, mean over tuning seeds; the chosen params are bold.",
        "",
        *format_header(["method", *(f"try {number + 1}" for number in range(max(map(len, _group(tries).values()))))]),
    ]
    for method, of_method in _group(tries).items():
        cells = []
        for one in of_method:
            params = ", ".join(
                f"{word} {one['train'][name]:g}" for name, word in SHOWN_PARAMS.items() if name in one["train"]
            )
            result = "stopped" if None in one["pass_at_1"] else f"{100 * statistics.mean(one['pass_at_1']):.1f}"
            cell = f"{params}: {result}"
            cells.append(f"**{cell}**" if one["train"] == chosen[method] else cell)
        lines.append(format_row([METHODS[method][1], *cells]))
    return "\n".join(lines) + "\n"


def _group(tries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in tries:
        groups.setdefault(one["method"], []).append(one)
    return groups


def list_noise(table: pl.DataFrame) -> list[float]:
    """The fractions of flipped labels that `table` has chains with."""
    chains = set(table["chain"])
    return [noise for noise in NOISE if any(name_noisy(method, noise) in chains for method in STEP_METHODS)]


def format_noise(table: pl.DataFrame, methods: list[str], num_rounds: int) -> str:
    """What methods on steps gain over KTO by label noise, in the first and the last round, and until which noise."""
    of_steps, levels_run = [method for method in STEP_METHODS if method in methods], list_noise(table)
    if "kto" not in methods or not of_steps:
        return "Label noise is compared with KTO; it, or a method on steps, is not among the methods.\n"
    if table["seed"].n_unique() < 2:
        return "Intervals over seeds need two; `python -m experiments paired` compares evaluations by problem.\n"
    rounds = sorted({1, num_rounds})
    heads = [f"{title}, M{number}" for number in rounds for title in METRICS.values()]
    lines = [
        "Minus KTO, which reads no step labels, by fraction of flipped step labels: means over seeds and Student's 95% "
        "intervals, in percentage points.",
        "",
    ]
    verdicts = []
    for method in of_steps:
        title = METHODS[method][1]
        lines += format_header([f"{title}, flipped", *heads])
        helps: dict[tuple[int, str], list[float]] = {(number, metric): [] for number in rounds for metric in METRICS}
        for noise in levels_run:
            cells = []
            for number, metric in helps:
                differences = compute_differences(table, name_noisy(method, noise), number, metric)
                middle, half = statistics.mean(differences), compute_half_width(differences)
                cells.append(f"{middle:+.1f} +- {half:.1f}")
                gain = -middle if metric == STEPWISE_ERROR else middle
                if gain > half and helps[number, metric] == levels_run[: levels_run.index(noise)]:
                    helps[number, metric].append(noise)
            lines.append(format_row([f"{noise:.0%}", *cells]))
        lines.append("")
        for (number, metric), levels in helps.items():
            until = (
                f"helps up to {levels[-1]:.0%} of flipped labels" if levels else "cannot be told from KTO, or is behind"
            )
            verdicts.append(f"- {title}, {METRICS[metric]} of M{number}: {until}.")
    return "\n".join(
        [*lines, "Ahead of KTO with an interval that excludes 0, at that noise and all below it:", "", *verdicts, ""]
    )


def compute_differences(table: pl.DataFrame, chain: str, number: int, metric: str) -> list[float]:
    """A chain minus KTO in one round, in percentage points, seed by seed."""
    pairs = zip(select_values(table, chain, number, metric), select_values(table, "kto", number, metric), strict=True)
    return [one - another for one, another in pairs]
