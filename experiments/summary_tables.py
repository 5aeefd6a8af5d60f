"""An experiment's tables in Markdown: means over seeds, variants compared seed by seed, and every seed."""

import math
import statistics
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from experiments.variants import Variant, list_rounds

PASS_AT_1 = "pass_at_1"  # noqa: S105 - a metric, no password
STEPWISE_ERROR = "stepwise_error"
MAJORITY_PREFIX = "maj_at_"

METRICS = {PASS_AT_1: "Pass@1", STEPWISE_ERROR: "correct answer, incorrect step"}
"""Metrics in which variants are compared. Maj@k is not: its votes are the recipe's, as is its column's name."""

MISS_RATE = 0.05
"""Chance that an interval misses the mean."""


def format_tables(table: pl.DataFrame, variants: tuple[Variant, ...], rounds: int) -> str:
    """Markdown of `table`: rows of reports/rounds.csv with a column `seed`."""
    values = _SeedValues(table)
    over = "" if len(values.seeds) == 1 else f"Mean +- standard deviation over {len(values.seeds)} seeds, in "
    lines = [f"{over or 'One seed, in '}percent; a seed's variants share M0.", ""]
    # Without votes the column is there and holds nothing.
    measured = [name for name, dtype in table.schema.items() if name.startswith(MAJORITY_PREFIX) and dtype.is_float()]
    votes = [name.removeprefix(MAJORITY_PREFIX) for name in measured]
    majorities = {f"{MAJORITY_PREFIX}{number}": f"Maj@{number}" for number in votes if number.isdecimal()}
    titles = {PASS_AT_1: METRICS[PASS_AT_1], **majorities, STEPWISE_ERROR: METRICS[STEPWISE_ERROR]}
    for metric, title in titles.items():
        lines += format_header([title, *(f"M{n}" for n in range(rounds + 1))])
        for variant in variants:
            spreads = [_format_spread(values.select(name, metric)) for name in list_rounds(variant, rounds)]
            lines.append(format_row([variant.title, *spreads]))
        lines.append("")
    lines += [*_list_seeds(values, variants, rounds), "", *_compare_variants(values, variants, rounds)]
    return "\n".join(lines) + "\n"


class _SeedValues:
    """Metrics by round, in the order of the seeds."""

    def __init__(self, table: pl.DataFrame) -> None:
        self._table = table.sort("seed")
        self.seeds: list[int] = self._table["seed"].unique(maintain_order=True).to_list()

    def select(self, name: str, metric: str) -> list[float]:
        """Percentages, one per seed."""
        percentages: list[float] = (self._table.filter(pl.col("round") == name)[metric] * 100).to_list()
        return percentages

    def pair(self, name: str) -> list[tuple[float, float]]:
        """Pass@1 and stepwise error of each seed."""
        return list(zip(self.select(name, PASS_AT_1), self.select(name, STEPWISE_ERROR), strict=True))


def _list_seeds(values: _SeedValues, variants: tuple[Variant, ...], rounds: int) -> list[str]:
    names = ["M0", *(name for variant in variants for name in list_rounds(variant, rounds)[1:])]
    letters = ", ".join(f"{variant.letter} {variant.title}" for variant in variants)
    pairs = [[f"{passed:.1f} / {error:.1f}" for passed, error in values.pair(name)] for name in names]
    return [
        f"Pass@1 / correct answer with an incorrect step, in percent, seed by seed ({letters}):",
        "",
        *format_header(["seed", *names]),
        *(format_row([str(seed), *cells]) for seed, *cells in zip(values.seeds, *pairs, strict=True)),
    ]


def _compare_variants(values: _SeedValues, variants: tuple[Variant, ...], rounds: int) -> list[str]:
    """The last round against M0, and each variant against the first, seed by seed."""
    num_seeds = len(values.seeds)
    first, last = variants[0], f"{variants[0].letter}{rounds}"
    num_better = sum(
        after > before and error_after < error_before
        for (before, error_before), (after, error_after) in zip(values.pair("M0"), values.pair(last), strict=True)
    )
    lines = [
        f"{last} beats M0 in both Pass@1 and stepwise error on {num_better} of {num_seeds} seeds.",
        "",
        *format_header([f"{first.title} minus", *(f"M{n}" for n in range(1, rounds + 1))]),
    ]
    for variant in variants[1:]:
        for metric, title in METRICS.items():
            cells = []
            for name, other in zip(list_rounds(first, rounds)[1:], list_rounds(variant, rounds)[1:], strict=True):
                pairs = zip(values.select(name, metric), values.select(other, metric), strict=True)
                differences = [one - another for one, another in pairs]
                is_better = [d < 0 if metric == STEPWISE_ERROR else d > 0 for d in differences]
                interval = format_interval(differences)
                cells.append(f"{statistics.mean(differences):+.1f}{interval}, {sum(is_better)} of {num_seeds}")
            lines.append(format_row([f"{variant.title}, {title}", *cells]))
    interval = (
        "" if num_seeds == 1 else f"Means of the differences by seed, Student's {1 - MISS_RATE:.0%} intervals, and on"
    )
    return [*lines, "", f"{interval or 'Differences, and on'} how many seeds {first.title} is better."]


def compute_half_width(values: list[float]) -> float:
    """Half of Student's interval of the mean over seeds; 0 for a single one, of which nothing is known."""
    if len(values) < 2:
        return 0.0
    return compute_t_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def format_interval(values: list[float]) -> str:
    """Student's interval of the mean over seeds; empty for a single one."""
    if len(values) < 2:
        return ""
    half = compute_half_width(values)
    middle = statistics.mean(values)
    return f" [{middle - half:+.1f}, {middle + half:+.1f}]"


@cache
def compute_t_quantile(freedom: int) -> float:
    """The absolute value that Student's t with `freedom` degrees of freedom exceeds with chance `MISS_RATE`."""
    import mpmath

    def excess(t: float) -> Any:
        return mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True) - MISS_RATE

    return float(mpmath.findroot(excess, (1.5, 15.0), solver="anderson"))


def _format_spread(values: list[float]) -> str:
    if all(math.isnan(value) for value in values):
        return ""  # not measured
    deviation = f" +- {float(np.std(values, ddof=1)):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def format_row(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def format_header(cells: list[str]) -> list[str]:
    """The first two lines of a Markdown table."""
    return [format_row(cells), "|---" * len(cells) + "|"]
