"""All plots: what each shows and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.report.bar_plots import draw_drops, draw_labels, draw_tokens
from stages.report.metric_plots import draw_accuracy, draw_stepwise
from stages.report.plot_style import Theme
from stages.report.stage_reports import StageReports

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A plot: its file's name, what it shows, and how it is drawn."""

    name: str
    title: str
    caption: str
    draw: Callable[[StageReports, Theme], Figure | None]
    """Returns None if there is nothing to draw."""


PLOTS = (
    Plot(
        "pass_at_1",
        "Correct answers by round",
        "Pass@1 and majority vote on held-out problems; whiskers are 95% intervals.",
        draw_accuracy,
    ),
    Plot(
        "stepwise_error",
        "Correct answers with an incorrect step",
        "Fraction of correct greedy answers with at least one incorrect step; whiskers are 95% intervals.",
        draw_stepwise,
    ),
    Plot(
        "labels",
        "Label balance before and after selection",
        "Labels of sampled answers and of their steps in each round.",
        draw_labels,
    ),
    Plot("drops", "Rows dropped by reason", "The most frequent reasons over all rounds.", draw_drops),
    Plot("tokens", "Tokens by policy", "Tokens of prompts and completions in sampling and evaluation.", draw_tokens),
)
"""All plots, in the order of the page."""
