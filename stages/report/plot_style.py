"""Style of the plots: two themes of one palette for colour-blind readers, and files with the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_WIDTH_INCHES = 5.4
"""Text stays legible on a page as narrow as a phone."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
"""Marker by line, so that lines differ without their colours."""


@dataclass(frozen=True)
class Theme:
    """Colours of a plot. `series` follows Okabe and Ito (2008), lightened for the dark theme."""

    text: str
    muted: str
    grid: str
    background: str
    correct: str
    incorrect: str
    unknown: str
    series: tuple[str, ...]


LIGHT = Theme(
    text="#23272d",
    muted="#646b75",
    grid="#e6e6e2",
    background="#ffffff",
    correct="#1b9e77",
    incorrect="#c8401f",
    unknown="#b4b9c0",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5ea8", "#5c6670"),
)
DARK = Theme(
    text="#e8e8e4",
    muted="#a2aab4",
    grid="#33383f",
    background="#1c1f24",
    correct="#3fbf97",
    incorrect="#f0805c",
    unknown="#6a727c",
    series=("#5db3ea", "#f28e4e", "#3cc79f", "#e6a3c8", "#f2c14e", "#9fd3f5", "#b7a0de", "#a9b2bd"),
)


@contextmanager
def use_theme(theme: Theme) -> Iterator[None]:
    """Matplotlib's settings for everything drawn inside; text is never read as TeX."""
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "axes.axisbelow": True,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": theme.background,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.labelcolor": theme.muted,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.text,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "figure.facecolor": theme.background,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "grid.color": theme.grid,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "legend.labelcolor": theme.muted,
        "lines.linewidth": 2,
        "path.simplify": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "rounds",
        "text.color": theme.text,
        "text.parse_math": False,
        "xtick.color": theme.muted,
        "xtick.major.size": 0,
        "ytick.color": theme.muted,
        "ytick.major.size": 0,
    }
    with mpl.rc_context({**mpl.rcParamsDefault, **settings, "backend": "agg"}):
        yield


def create_axes(height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure `height` inches high with panels side by side."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(PLOT_WIDTH_INCHES, height), layout="constrained")
    return fig, list(fig.subplots(1, columns, squeeze=False)[0])


def add_legend(fig: Figure, axes: Axes, columns: int) -> None:
    """One legend below all panels."""
    handles, names = axes.get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=2.4, columnspacing=1.4)


def save_png(fig: Figure) -> bytes:
    """The figure as PNG, without the date or matplotlib's version."""
    return _save(fig, format="png", dpi=160, metadata={"Software": None})


def save_svg(fig: Figure) -> bytes:
    """The figure as SVG with text as shapes, so that it needs no font; the background is transparent."""
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    return _save(fig, format="svg", metadata=metadata, transparent=True)


def _save(fig: Figure, **options: Any) -> bytes:
    file = io.BytesIO()
    fig.savefig(file, bbox_inches="tight", pad_inches=0.06, **options)
    return file.getvalue()
