"""The figure of the experiment on methods: all methods by round, and methods on steps by label noise."""

import statistics
from typing import Any

import polars as pl

from experiments.method_params import METHODS, STEP_METHODS, name_noisy
from experiments.method_tables import list_noise, select_values
from experiments.plot import PANELS
from experiments.summary_tables import compute_half_width
from stages.report.plot_style import LIGHT, MARKERS, save_png, use_theme


def draw_figure(table: pl.DataFrame, methods: list[str], num_rounds: int) -> bytes:
    """PNG of `table`: rows of `run_chains`. Bars and bands are 95% intervals, see `list_points`.

    Label noise has panels where there are several seeds, since a difference from KTO has no interval over one.
    """
    num_rows = 1 if table["seed"].n_unique() == 1 else 2
    with use_theme(LIGHT):
        from matplotlib.figure import Figure

        fig = Figure(figsize=(9, 3.5 * num_rows), layout="constrained")
        panels = fig.subplots(num_rows, len(PANELS), squeeze=False)
        for column, (metric, title) in enumerate(PANELS.items()):
            _draw_rounds(panels[0, column], table, methods, num_rounds, metric)
            panels[0, column].set_title(title)
            if num_rows > 1:
                _draw_noise(panels[1, column], table, methods, num_rounds, metric)
                panels[1, column].set_title(f"M{num_rounds} by flipped step labels, %")
            for axes in panels[:, column]:
                axes.set_ylim(bottom=0)
        fig.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
        return save_png(fig)


def _draw_rounds(axes: Any, table: pl.DataFrame, methods: list[str], num_rounds: int, metric: str) -> None:
    for method in methods:
        index = list(METHODS).index(method)
        middles, halves = list_points(table, method, num_rounds, metric)
        shift = 0.07 * (index - (len(METHODS) - 1) / 2)
        axes.errorbar([number + shift for number in range(num_rounds + 1)], middles, halves, **make_style(method))
    axes.set_xticks(range(num_rounds + 1), [f"M{number}" for number in range(num_rounds + 1)])


def list_points(table: pl.DataFrame, method: str, last: int, metric: str) -> tuple[list[float], Any]:
    """Percentages of rounds 0 to `last`, and how far their 95% intervals reach below and above.

    Student's intervals of the mean over seeds; for a single seed, the bootstrap's over problems.
    """
    values = [select_values(table, method, number, metric) for number in range(last + 1)]
    middles = [sum(of_round) / len(of_round) for of_round in values]
    if len(values[0]) > 1:
        return middles, [compute_half_width(of_round) for of_round in values]
    low, high = (
        [select_values(table, method, number, f"{metric}_{end}")[0] for number in range(last + 1)]
        for end in ("low", "high")
    )
    return middles, [
        [middle - below for middle, below in zip(middles, low, strict=True)],
        [above - middle for middle, above in zip(middles, high, strict=True)],
    ]


def _draw_noise(axes: Any, table: pl.DataFrame, methods: list[str], num_rounds: int, metric: str) -> None:
    levels = list_noise(table)
    positions = range(len(levels))
    if "kto" in methods:  # reads no step labels: the same at any noise
        values = select_values(table, "kto", num_rounds, metric)
        middle, half = statistics.mean(values), compute_half_width(values)
        style = make_style("kto")
        axes.axhline(middle, color=style["color"])
        axes.axhspan(middle - half, middle + half, color=style["color"], alpha=0.15, linewidth=0)
    for shift, method in zip((-0.05, 0.05), STEP_METHODS, strict=True):
        if method in methods:
            by_noise = [select_values(table, name_noisy(method, noise), num_rounds, metric) for noise in levels]
            axes.errorbar(
                [position + shift for position in positions],
                [statistics.mean(values) for values in by_noise],
                [compute_half_width(values) for values in by_noise],
                **make_style(method),
            )
    axes.set_xticks(positions, [f"{noise * 100:g}" for noise in levels])


def make_style(method: str) -> dict[str, Any]:
    """A method's colour, marker and title: the same in every figure."""
    index = list(METHODS).index(method)
    return {"color": LIGHT.series[index], "marker": MARKERS[index], "capsize": 3, "label": METHODS[method][1]}
