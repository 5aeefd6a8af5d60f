"""Bar plots: fractions of labels, dropped rows and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.common.text import make_visible
from stages.report.drops import collect_drops
from stages.report.plot_style import Theme, add_legend, create_axes
from stages.report.stage_reports import StageReports, get_dict, get_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_REASONS = 12
"""Most drop reasons drawn."""

MIN_LABELLED_PERCENT = 12
"""Narrowest bar segment that has room for its number."""


def draw_labels(results: StageReports, theme: Theme) -> Figure | None:
    """Fractions of correct, incorrect and unknown labels before and after selection, of answers and of steps."""
    rows = {
        f"{policy.name} {when}": get_dict(labels, when)
        for policy in results.policies
        if (labels := get_dict(policy.reports, "dataset", "labels"))
        for when in ("before", "after")
    }
    if not rows:
        return None
    fig, panels = create_axes(0.9 + 0.3 * len(rows), columns=2)
    # White or black, whichever contrasts with the segment in this theme.
    text_colors = {"unknown": "#15181c"} if theme.background == "#ffffff" else {}
    default_text = "#ffffff" if theme.background == "#ffffff" else "#15181c"
    colors = {"correct": theme.correct, "incorrect": theme.incorrect, "unknown": theme.unknown}
    for axes, level in zip(panels, ("outcome", "step"), strict=True):
        counts = {label: [get_number(labels, level, label) or 0.0 for labels in rows.values()] for label in colors}
        totals = [sum(column) for column in zip(*counts.values(), strict=True)]
        start = [0.0] * len(rows)
        for label, values in counts.items():
            percents = [100 * value / total if total else 0.0 for value, total in zip(values, totals, strict=True)]
            bars = axes.barh(range(len(rows)), percents, left=start, color=colors[label], height=0.72,
                             edgecolor=theme.background, linewidth=0.8, label=label)  # fmt: skip
            texts = [f"{percent:.0f}%" if percent >= MIN_LABELLED_PERCENT else "" for percent in percents]
            text_color = text_colors.get(label, default_text)
            axes.bar_label(bars, texts, label_type="center", fontsize=8, color=text_color)
            start = [left + percent for left, percent in zip(start, percents, strict=True)]
        _label_bars(axes, list(rows) if level == "outcome" else [""] * len(rows))
        axes.set_xlim(0, 100)
        axes.set_title("Answers" if level == "outcome" else "Steps")
    add_legend(fig, panels[0], 3)
    return fig


def draw_drops(results: StageReports, theme: Theme) -> Figure | None:
    """Rows dropped by reason, over all rounds, the most frequent first."""
    drops = sorted(collect_drops(results), key=lambda drop: -drop.num_rows)[:MAX_REASONS]
    if not drops:
        return None
    fig, (axes,) = create_axes(0.5 + 0.32 * len(drops))
    bars = axes.barh(range(len(drops)), [drop.num_rows for drop in drops], color=theme.series[0], height=0.62)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=9, color=theme.muted)
    reasons = [drop.reason if len(drop.reason) <= 36 else drop.reason[:35] + "…" for drop in drops]
    names = [f"{drop.stage}: {make_visible(reason)}" for drop, reason in zip(drops, reasons, strict=True)]
    _label_bars(axes, names)
    axes.margins(x=0.12)
    return fig


def _label_bars(axes: Axes, names: list[str]) -> None:
    """Names beside horizontal bars, the first on top, without an axis of values."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def draw_tokens(results: StageReports, theme: Theme) -> Figure | None:
    """Prompt and completion tokens, stacked by policy; numbers known for no policy are left out."""
    paths = {
        "sampling, prompts": ("sample", "prompt_tokens"),
        "sampling, completions": ("sample", "completion_tokens"),
        "evaluation, completions": ("evaluate", "completion_tokens"),
    }
    names = [policy.name for policy in results.policies]
    fig, (axes,) = create_axes(3.5)
    start = [0.0] * len(names)
    # Colours follow the name and not its rank, so that they mean the same in every recipe.
    for (name, path), color in zip(paths.items(), theme.series, strict=False):
        values = [get_number(policy.reports, *path) or 0.0 for policy in results.policies]
        if any(values):
            axes.bar(range(len(names)), values, bottom=start, color=color, label=name, width=0.62,
                     edgecolor=theme.background, linewidth=0.6)  # fmt: skip
            start = [low + value for low, value in zip(start, values, strict=True)]
    if not axes.containers:
        return None
    axes.set_xticks(range(len(names)), names, rotation=90 if sum(map(len, names)) > 45 else 0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("tokens")
    add_legend(fig, axes, 3)
    return fig
