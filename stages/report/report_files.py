"""The files that the report writes."""

import shutil
from pathlib import Path

from stages.common.runs import read_records
from stages.common.tables import replace_dir, write_json
from stages.report.llm_usage import collect_usage_metrics
from stages.report.page import Picture, render_page
from stages.report.plot_style import DARK, LIGHT, save_png, save_svg, use_theme
from stages.report.plots import PLOTS, Plot
from stages.report.rounds_table import build_rounds_table, collect_metrics, format_csv, format_text
from stages.report.stage_reports import StageReports, read_stage_reports

Metrics = dict[str, dict[str, float | int]]
"""The metrics for DVC, by policy and metric."""


def write_report(recipe: Path, stages: Path, out: Path) -> str:
    """Write ``rounds.csv``, ``metrics.json``, ``plots/*.png``, ``index.html`` and ``stages/`` into `out`.

    `stages` holds the stages' reports, ``<stage>/<round>.json``; those of rounds that `recipe` does not name are
    ignored, the others are copied, so that they can be read without the data. Returns the table of rounds and the
    page's path, for the terminal. Raises `UserError` naming a bad file.
    """
    results = read_stage_reports(recipe, stages)
    out.mkdir(parents=True, exist_ok=True)
    with replace_dir(out / "stages") as folder:
        for path in results.files:
            copy = folder / path.relative_to(stages)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    rounds, metrics = _compute_summary_of(results)
    (out / "rounds.csv").write_text(rounds, encoding="utf-8")
    write_json(out / "metrics.json", metrics)
    with replace_dir(out / "plots") as folder:
        pictures = _draw_plots(results, folder)
    (out / "index.html").write_text(render_page(results, pictures), encoding="utf-8")
    return show_report(recipe, out)


def compute_summary(recipe: Path, stages: Path) -> tuple[str, Metrics]:
    """What `write_report` writes into ``rounds.csv`` and ``metrics.json``. Raises `UserError` naming a bad file."""
    return _compute_summary_of(read_stage_reports(recipe, stages))


def _compute_summary_of(results: StageReports) -> tuple[str, Metrics]:
    usage = collect_usage_metrics(results.policies)
    metrics = {name: it | usage[name] for name, it in collect_metrics(results.policies).items()}
    return format_csv(build_rounds_table(results.policies)), metrics


def write_page_with_times(recipe: Path, out: Path, run: Path) -> Path:
    """Write the page of the report in `out` again, with the times of the run in the folder `run`, and return its path.

    It lies in the run's folder: the report's own page is the same bytes whenever it is made.
    """
    results, page = read_stage_reports(recipe, out / "stages"), run / "report.html"
    page.write_text(render_page(results, _draw_plots(results), read_records(run)), encoding="utf-8")
    return page


def show_report(recipe: Path, out: Path) -> str:
    """The table of rounds and the page's path, for the terminal."""
    policies = read_stage_reports(recipe, out / "stages").policies
    return f"{format_text(policies)}\nreport: {out / 'index.html'}"


def _draw_plots(results: StageReports, folder: Path | None = None) -> list[Picture]:
    """Every plot that has something to draw, in both themes; write PNGs into `folder`, if one is given."""
    return [picture for plot in PLOTS if (picture := _draw_plot(plot, results, folder))]


def _draw_plot(plot: Plot, results: StageReports, folder: Path | None) -> Picture | None:
    images = []
    for theme in (LIGHT, DARK):
        with use_theme(theme):
            fig = plot.draw(results, theme)
            if fig is None:
                return None
            if folder is not None and theme is LIGHT:
                (folder / f"{plot.name}.png").write_bytes(save_png(fig))
            images.append(save_svg(fig))
    return plot, images[0], images[1]
