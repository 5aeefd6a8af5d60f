"""A study's tables in Markdown: means over seeds, the arms paired by seed, and every seed."""

from __future__ import annotations

import math
import statistics
from functools import cache
from typing import Any

import polars as pl

from experiments.arms import Arm, round_names

METRICS = {"pass_at_1": "Pass@1", "stepwise_error": "right answer, wrong step"}
"""Figures in which arms are compared; the votes of Maj@k are the recipe's, and its column is named after them."""

OUTSIDE = 0.05
"""The chance that an interval misses what it is about."""

MAJORITY = "maj_at_"
ERROR = "stepwise_error"


def summarise(table: pl.DataFrame, arms: tuple[Arm, ...], rounds: int) -> str:
    """Markdown of `table`: rows of reports/rounds.csv with a column `seed`."""
    values = _Values(table)
    lines = [
        f"Mean +- standard deviation over {len(values.seeds)} seeds, in percent; M0 is shared by the arms of a seed.",
        "",
    ]
    votes = [name.removeprefix(MAJORITY) for name in table.columns if name.startswith(MAJORITY)]
    majorities = {f"{MAJORITY}{number}": f"Maj@{number}" for number in votes if number.isdecimal()}
    shown = {"pass_at_1": METRICS["pass_at_1"], **majorities, ERROR: METRICS[ERROR]}
    for metric, title in shown.items():
        lines += [_row([title, *(f"M{n}" for n in range(rounds + 1))]), _rule(rounds + 2)]
        for arm in arms:
            lines.append(_row([arm.title, *(_spread(values.of(n, metric)) for n in round_names(arm, rounds))]))
        lines.append("")
    lines += [*_every_seed(values, arms, rounds), "", *_compared(values, arms, rounds)]
    return "\n".join(lines) + "\n"


class _Values:
    """Figures by round's name and metric, in the order of the seeds."""

    def __init__(self, table: pl.DataFrame) -> None:
        self._table = table.sort("seed")
        self.seeds: list[int] = self._table["seed"].unique(maintain_order=True).to_list()

    def of(self, name: str, metric: str) -> list[float]:
        """Percentages, one a seed."""
        found: list[float] = (self._table.filter(pl.col("round") == name)[metric] * 100).to_list()
        return found


def _every_seed(values: _Values, arms: tuple[Arm, ...], rounds: int) -> list[str]:
    names = ["M0", *(name for arm in arms for name in round_names(arm, rounds)[1:])]
    letters = ", ".join(f"{arm.letter} {arm.title}" for arm in arms)
    lines = [f"Pass@1 / right answer with a wrong step, in percent, seed by seed ({letters}):", ""]
    lines += [_row(["seed", *names]), _rule(len(names) + 1)]
    cells = {name: list(zip(values.of(name, "pass_at_1"), values.of(name, ERROR), strict=True)) for name in names}
    for at, seed in enumerate(values.seeds):
        lines.append(_row([str(seed), *(f"{cells[name][at][0]:.1f} / {cells[name][at][1]:.1f}" for name in names)]))
    return lines


def _compared(values: _Values, arms: tuple[Arm, ...], rounds: int) -> list[str]:
    """The last round against M0, and each arm against the first, seed by seed."""
    seeds = len(values.seeds)
    first, last = arms[0], f"{arms[0].letter}{rounds}"
    gained = sum(
        after > before and wrong_after < wrong_before
        for before, after, wrong_before, wrong_after in zip(
            values.of("M0", "pass_at_1"), values.of(last, "pass_at_1"), values.of("M0", ERROR), values.of(last, ERROR),
            strict=True,
        )
    )  # fmt: skip
    lines = [f"{last} beats M0 in both Pass@1 and stepwise error on {gained} of {seeds} seeds.", ""]
    lines += [
        _row([f"{first.title} minus", *(f"M{n}" for n in range(1, rounds + 1))]),
        _rule(rounds + 1),
    ]
    for arm in arms[1:]:
        for metric in ("pass_at_1", ERROR):
            cells = []
            for name, other in zip(round_names(first, rounds)[1:], round_names(arm, rounds)[1:], strict=True):
                differences = [a - b for a, b in zip(values.of(name, metric), values.of(other, metric), strict=True)]
                better = sum(d < 0 if metric == ERROR else d > 0 for d in differences)
                cells.append(f"{statistics.mean(differences):+.1f}{_interval(differences)}, {better} of {seeds}")
            lines.append(_row([f"{arm.title}, {METRICS[metric]}", *cells]))
    return [
        *lines,
        "",
        f"Means of the differences by seed, Student's {1 - OUTSIDE:.0%} intervals, and on how many seeds "
        f"{first.title} is better.",
    ]


def _interval(values: list[float]) -> str:
    """The interval that holds the mean, were further seeds drawn as these were; nothing to be said of a single one."""
    if len(values) < 2:
        return ""
    half = student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    middle = statistics.mean(values)
    return f" [{middle - half:+.1f}, {middle + half:+.1f}]"


@cache
def student(freedom: int) -> float:
    """What Student's t with `freedom` degrees of freedom exceeds in size with the chance `OUTSIDE`."""
    import mpmath

    def excess(t: float) -> Any:
        return mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True) - OUTSIDE

    return float(mpmath.findroot(excess, (1.5, 15.0), solver="anderson"))


def _spread(values: list[float]) -> str:
    deviation = f" +- {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return "|---" * columns + "|"
