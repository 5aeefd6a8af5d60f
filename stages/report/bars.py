"""Plots of amounts: label shares, drops, seconds and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.report.drops import collect_drops
from stages.report.sources import ROUND_STAGES, Sources, at, number
from stages.report.style import Theme, legend_below, new_axes
from stages.report.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REASONS = 12
"""Most drop reasons drawn."""

LABELS = ("correct", "incorrect", "unknown")


def draw_labels(sources: Sources, theme: Theme) -> Figure | None:
    """Shares of right, wrong and unknown labels before and after selection, of answers and of steps."""
    rows = [
        (f"{model.name} {when}", at(labels, when))
        for model in sources.models
        if isinstance(labels := at(model.reports, "dataset", "labels"), dict)
        for when in ("before", "after")
    ]
    if not rows:
        return None
    figure, panels = new_axes(0.9 + 0.3 * len(rows), columns=2)
    colors = dict(zip(LABELS, (theme.right, theme.wrong, theme.unknown), strict=True))
    for axes, level, title in zip(panels, ("outcome", "step"), ("Answers", "Steps"), strict=True):
        for place, (_, labels) in enumerate(rows):
            _share_bar(axes, place, {label: number(labels, level, label) or 0 for label in LABELS}, colors, theme)
        names = [name for name, _ in rows] if axes is panels[0] else [""] * len(rows)
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_xlim(0, 100)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_title(title)
    for label in LABELS:
        panels[0].barh([0], [0], color=colors[label], label=label)
    legend_below(figure, panels[0], 3)
    return figure


def _share_bar(axes: Axes, place: int, counts: dict[str, float], colors: dict[str, str], theme: Theme) -> None:
    """One bar of shares that fill 100%, each that has room for it with its number."""
    total = sum(counts.values())
    left = 0.0
    for label, value in counts.items():
        share = 100 * value / total if total else 0.0
        axes.barh(place, share, left=left, color=colors[label], height=0.72, edgecolor=theme.ground, linewidth=0.8)
        if share >= 12:
            # White or black, whichever stands out from the bar in this theme.
            ink = "#ffffff" if theme.ground == "#ffffff" and label != "unknown" else "#15181c"
            axes.text(left + share / 2, place, f"{share:.0f}%", ha="center", va="center", fontsize=8, color=ink)
        left += share


def draw_drops(sources: Sources, theme: Theme) -> Figure | None:
    """Rows dropped by reason, over all rounds, the most frequent first."""
    drops = sorted(collect_drops(sources), key=lambda drop: -drop.rows)[:REASONS]
    if not drops:
        return None
    figure, (axes,) = new_axes(0.5 + 0.32 * len(drops))
    axes.barh(range(len(drops)), [drop.rows for drop in drops], color=theme.series[0], height=0.62)
    for place, drop in enumerate(drops):
        axes.annotate(f"{drop.rows:,}", (drop.rows, place), (4, 0), textcoords="offset points", va="center",
                      fontsize=9, color=theme.soft)  # fmt: skip
    axes.set_yticks(range(len(drops)), [f"{drop.stage}: {_short(drop.reason)}" for drop in drops])
    axes.set_ylim(len(drops) - 0.45, -0.55)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.margins(x=0.12)
    axes.spines["bottom"].set_visible(False)
    return figure


def _short(text: str) -> str:
    return visible(text if len(text) <= 36 else text[:35] + "…")


def draw_seconds(sources: Sources, theme: Theme) -> Figure | None:
    """Seconds by stage, stacked by model."""
    return _draw_stacks(sources, theme, {
        stage: [number(model.reports, stage, "seconds") for model in sources.models]
        for stage in ("seed_model", *ROUND_STAGES)
    }, "seconds")  # fmt: skip


def draw_tokens(sources: Sources, theme: Theme) -> Figure | None:
    """Tokens read and written, stacked by model."""
    return _draw_stacks(sources, theme, {
        name: [number(model.reports, *keys) for model in sources.models]
        for name, keys in {
            "sampling, read": ("sample", "prompt_tokens"),
            "sampling, written": ("sample", "completion_tokens"),
            "evaluation, written": ("evaluate", "completion_tokens"),
        }.items()
    }, "tokens")  # fmt: skip


def _draw_stacks(sources: Sources, theme: Theme, parts: dict[str, list[float | None]], unit: str) -> Figure | None:
    """A bar per model made of `parts`; a part that is nowhere known is left out."""
    known = {name: [value or 0.0 for value in values] for name, values in parts.items() if any(values)}
    if not known:
        return None
    figure, (axes,) = new_axes(3.5)
    places = range(len(sources.models))
    floor = [0.0] * len(sources.models)
    # Colours follow the part and not its rank, so that they mean the same in every recipe.
    for name, values in known.items():
        color = theme.series[list(parts).index(name) % len(theme.series)]
        axes.bar(
            places, values, bottom=floor, color=color, label=name, width=0.62, edgecolor=theme.ground, linewidth=0.6
        )
        floor = [low + value for low, value in zip(floor, values, strict=True)]
    names = [model.name for model in sources.models]
    axes.set_xticks(places, names, rotation=90 if sum(map(len, names)) > 45 else 0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel(unit)
    legend_below(figure, axes, 3)
    return figure
