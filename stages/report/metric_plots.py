"""Plots of metrics by round: a line per variant and metric, with the 95% intervals as whiskers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.report.plot_style import MARKERS, Theme, add_legend, create_axes
from stages.report.stage_reports import PolicyReports, StageReports, get_number, list_majority_ks, list_variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_accuracy(results: StageReports, theme: Theme) -> Figure | None:
    """Pass@1 (solid) and Maj@k (dashed) by round."""
    k = list_majority_ks(results.policies)[0]
    return _draw_lines(results, theme, {"pass_at_1": "Pass@1", f"maj_at_{k}": f"Maj@{k}"})


def draw_stepwise(results: StageReports, theme: Theme) -> Figure | None:
    """Stepwise error by round."""
    return _draw_lines(results, theme, {"stepwise_error": "correct answers with an incorrect step"})


def _draw_lines(results: StageReports, theme: Theme, metrics: dict[str, str]) -> Figure | None:
    """A line per variant and metric: colour and marker by variant, dash by metric."""
    fig, (axes,) = create_axes(3.3)
    variants = list_variants(results.policies)
    has_several = len(variants) > 1
    num_lines = 0
    for row, chain in enumerate(variants):
        for column, (metric, title) in enumerate(metrics.items()):
            points = _list_points(chain, metric)
            if not points:
                continue
            # Whiskers of different lines must not overlap.
            shift = 0.05 * (row - (len(variants) - 1) / 2) + 0.025 * (column - (len(metrics) - 1) / 2)
            depths, values, lows, highs = zip(*points, strict=True)
            xs = [depth + shift for depth in depths]
            color = theme.series[(row if has_several else column) % len(theme.series)]
            axes.vlines(xs, lows, highs, color=color, linewidth=1.5, alpha=0.5, zorder=2)
            axes.plot(
                xs,
                values,
                color=color,
                linestyle="-" if column == 0 else (0, (4, 2)),
                marker=MARKERS[(row if has_several else column) % len(MARKERS)],
                markersize=6,
                markerfacecolor=color if column == 0 else theme.background,
                label=title if not has_several else ", ".join([title, _name_variant(chain)][len(metrics) == 1 :]),
                zorder=3,
            )
            num_lines += 1
    if not num_lines:
        return None
    _label_rounds(axes, results.policies)
    _format_percent_axis(axes)
    if num_lines > 1:
        add_legend(fig, axes, 2)
    return fig


def _format_percent_axis(axes: Axes) -> None:
    """At least ten points high, so that noise does not look large, and down to zero if zero is near."""
    from matplotlib.ticker import MaxNLocator

    bottom, top = axes.get_ylim()
    middle = (bottom + top) / 2
    bottom, top = max(0.0, min(bottom, middle - 5)), min(101.0, max(top, middle + 5))
    axes.set_ylim(0.0 if bottom < 15 else bottom, top)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_formatter("{x:.0f}%")


def _list_points(chain: list[PolicyReports], metric: str) -> list[tuple[int, float, float, float]]:
    """Depth, value, low and high in percent of the policies for which `metric` is known."""
    points = []
    for policy in chain:
        value, low, high = (
            get_number(policy.reports, "evaluate", "metrics", metric, key) for key in ("value", "low", "high")
        )
        if value is not None:
            low, high = (value if bound is None else bound for bound in (low, high))
            points.append((policy.depth, 100 * value, 100 * low, 100 * high))
    return points


def _name_variant(chain: list[PolicyReports]) -> str:
    """The rounds that the chain adds, and how they were trained."""
    added = [policy for policy in chain[1:] if policy.start_policy]
    if not added:
        return chain[-1].name
    names = added[0].name if len(added) == 1 else f"{added[0].name}–{added[-1].name}"
    return f"{names} ({', '.join(dict.fromkeys(policy.method for policy in added))})"


def _label_rounds(axes: Axes, policies: list[PolicyReports]) -> None:
    """One tick per number of rounds since M0, labelled with its policies, or with that number if they are many."""
    names: dict[int, list[str]] = {}
    for policy in policies:
        names.setdefault(policy.depth, []).append(policy.name)
    is_crowded = max(map(len, names.values())) > 4 or len(names) > 12
    axes.set_xticks(list(names), [str(depth) if is_crowded else "\n".join(group) for depth, group in names.items()])
    axes.set_xlim(-0.35, max(names) + 0.35)
    if is_crowded:
        axes.set_xlabel("rounds since M0")
