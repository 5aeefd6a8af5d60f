"""The plot of an experiment: each variant's mean by round, with its standard deviation over seeds."""

import statistics

import polars as pl

from experiments.variants import Variant, list_rounds
from stages.report.plot_style import LIGHT, MARKERS, save_png, use_theme

PANELS = {"pass_at_1": "Pass@1, %", "stepwise_error": "correct answers with an incorrect step, %"}


def draw_plot(table: pl.DataFrame, variants: tuple[Variant, ...], rounds: int) -> bytes:
    """PNG of `table`: rows of reports/rounds.csv with a column `seed`."""
    with use_theme(LIGHT):
        from matplotlib.figure import Figure

        fig = Figure(figsize=(9, 3.4), layout="constrained")
        panels = fig.subplots(1, len(PANELS))
        for axes, (metric, title) in zip(panels, PANELS.items(), strict=True):
            for index, variant in enumerate(variants):
                values = [
                    (table.filter(pl.col("round") == name)[metric] * 100).to_list()
                    for name in list_rounds(variant, rounds)
                ]
                axes.errorbar(
                    [number + 0.06 * (index - (len(variants) - 1) / 2) for number in range(rounds + 1)],
                    [statistics.mean(of_round) for of_round in values],
                    [statistics.stdev(of_round) if len(of_round) > 1 else 0 for of_round in values],
                    color=LIGHT.series[index % len(LIGHT.series)],
                    marker=MARKERS[(index + index // len(LIGHT.series)) % len(MARKERS)],
                    capsize=3,
                    label=variant.title,
                )
            axes.set_xticks(range(rounds + 1), [f"M{number}" for number in range(rounds + 1)])
            axes.set_title(title, loc="left")
            axes.set_ylim(bottom=0)
        panels[0].legend(loc="lower right")
        return save_png(fig)
