"""A study as a picture: each arm's mean by round, with its standard deviation over seeds."""

from __future__ import annotations

import statistics

import polars as pl

from experiments.arms import Arm, round_names
from stages.report.style import LIGHT, MARKERS, drawing, to_png

PANELS = {"pass_at_1": "Pass@1, %", "stepwise_error": "right answers with a wrong step, %"}


def draw(table: pl.DataFrame, arms: tuple[Arm, ...], rounds: int) -> bytes:
    """PNG of `table`: rows of reports/rounds.csv with a column `seed`."""
    with drawing(LIGHT):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.4), layout="constrained")
        panels = figure.subplots(1, len(PANELS))
        for axes, (metric, title) in zip(panels, PANELS.items(), strict=True):
            for place, arm in enumerate(arms):
                values = [
                    (table.filter(pl.col("round") == name)[metric] * 100).to_list() for name in round_names(arm, rounds)
                ]
                axes.errorbar(
                    [number + 0.06 * (place - (len(arms) - 1) / 2) for number in range(rounds + 1)],
                    [statistics.mean(of_round) for of_round in values],
                    [statistics.stdev(of_round) if len(of_round) > 1 else 0 for of_round in values],
                    color=LIGHT.series[place],
                    marker=MARKERS[place],
                    capsize=3,
                    label=arm.title,
                )
            axes.set_xticks(range(rounds + 1), [f"M{number}" for number in range(rounds + 1)])
            axes.set_title(title, loc="left")
            axes.set_ylim(bottom=0)
        panels[0].legend(loc="lower right")
        return to_png(figure)
