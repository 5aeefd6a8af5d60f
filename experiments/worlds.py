"""``python -m experiments worlds``: the figure over all worlds, from the committed metrics: do step labels help?

Step-KTO reads step labels; KTO and RFT read the same completions without them. Each world's methods have the params
that were chosen for them on its validation problems.
"""

import argparse
from pathlib import Path

import polars as pl

from experiments.method_figure import list_points, make_style
from experiments.method_params import WORLDS
from experiments.methods import fill_missing
from experiments.plot import PANELS
from stages.report.plot_style import LIGHT, save_png, use_theme

COMPARED = ("step_kto", "kto", "rft")
OUT = Path("docs/results/worlds.png")


def read_worlds() -> dict[str, pl.DataFrame]:
    """The committed metrics of each world that has been run."""
    return {
        name: fill_missing(pl.read_csv(path, infer_schema_length=None))
        for name, world in WORLDS.items()
        if (path := world.out.with_suffix(".csv")).exists()
    }


def draw_worlds(worlds: dict[str, pl.DataFrame]) -> bytes:
    """PNG: a column per world, Pass@1 above and correct answers with an incorrect step below, by round.

    A method that has not been run in a world is left out there.
    Bars are 95% intervals: Student's of the mean over seeds, and for a world of one seed the bootstrap's over problems.
    """
    with use_theme(LIGHT):
        from matplotlib.figure import Figure

        fig = Figure(figsize=(4.5 * len(worlds), 6), layout="constrained")
        panels = fig.subplots(len(PANELS), len(worlds), squeeze=False)
        for column, (name, table) in enumerate(worlds.items()):
            last = max(int(number) for number in table["round"].str.slice(1))
            for row, (metric, title) in enumerate(PANELS.items()):
                axes = panels[row, column]
                for shift, method in zip((-0.07, 0.0, 0.07), COMPARED, strict=True):
                    if method not in set(table["chain"]):
                        continue
                    middles, halves = list_points(table, method, last, metric)
                    numbers = [number + shift for number in range(last + 1)]
                    axes.errorbar(numbers, middles, halves, **make_style(method))
                axes.set_xticks(range(last + 1), [f"M{number}" for number in range(last + 1)])
                axes.set_ylim(bottom=0)
                axes.set_title(f"{name.replace('_', ' ')}: {title}" if row == 0 else title)
        fig.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(COMPARED))
        return save_png(fig)


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="python -m experiments worlds", description=__doc__).parse_args(arguments)
    worlds = read_worlds()
    OUT.write_bytes(draw_worlds(worlds))
    print(f"{OUT}: {', '.join(worlds)}")
