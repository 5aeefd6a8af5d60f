"""Everything that the report writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from stages.common.tables import replace_dir, write_json
from stages.report.asked import asked_metrics
from stages.report.page import Picture, render_page
from stages.report.plots import PLOTS, Plot
from stages.report.sources import Sources, read_sources
from stages.report.style import DARK, LIGHT, drawing, to_png, to_svg
from stages.report.table import headline_table, rounds_table, to_csv, to_metrics, to_text


def build_report(recipe: Path, stages: Path, out: Path) -> str:
    """Write ``rounds.csv``, ``metrics.json``, ``plots/*.png``, ``index.html`` and ``stages/`` into `out`.

    `stages` holds the stages' reports, ``<stage>/<round>.json``; those of rounds that `recipe` does not name are not
    read. The others are copied, so that they can be read where the data is not. Returns the table of rounds and the
    page's place, for the console. Raises `ValueError` naming a file at fault.
    """
    sources = read_sources(recipe, stages)
    rows = rounds_table(sources.models)
    out.mkdir(parents=True, exist_ok=True)
    with replace_dir(out / "stages") as folder:
        for path in sources.files:
            copy = folder / path.relative_to(stages)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    (out / "rounds.csv").write_text(to_csv(rows), encoding="utf-8")
    costs = asked_metrics(sources.models)
    write_json(out / "metrics.json", {name: {**values, **costs[name]} for name, values in to_metrics(rows).items()})
    with replace_dir(out / "plots") as folder:
        pictures = [picture for plot in PLOTS if (picture := _draw(plot, sources, folder))]
    (out / "index.html").write_text(render_page(sources, pictures), encoding="utf-8")
    return show_report(recipe, out)


def show_report(recipe: Path, out: Path) -> str:
    """The table of rounds and the page's place, for the console."""
    return f"{to_text(headline_table(read_sources(recipe, out / 'stages').models))}\nreport: {out / 'index.html'}"


def _draw(plot: Plot, sources: Sources, folder: Path) -> Picture | None:
    """Write the plot's PNG into `folder` and return it in both themes; null where there is nothing to draw."""
    with drawing(LIGHT):
        figure = plot.draw(sources, LIGHT)
        if figure is None:
            return None
        (folder / f"{plot.name}.png").write_bytes(to_png(figure))
        light = to_svg(figure)
    with drawing(DARK):
        figure = plot.draw(sources, DARK)
        return plot, light, to_svg(figure) if figure else light
