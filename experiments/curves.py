"""``python -m experiments curves RUN``: losses and log-ratios over the rounds of a finished run, as one figure.

RUN is a project in which the graph has run, or what was kept of it: RUN/reports/stages/train/M1.json and later rounds'.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.report.plot_style import LIGHT, save_png, use_theme

PANELS: dict[str, dict[str, tuple[str, str]]] = {
    "loss": {
        "loss/outcome": ("of outcomes", LIGHT.series[0]),
        "loss/step": ("of steps", LIGHT.series[1]),
    },
    "log-ratio of completions, nats per token": {
        "log_ratios/chosen/token": ("correct", LIGHT.correct),
        "log_ratios/rejected/token": ("incorrect", LIGHT.incorrect),
        "log_ratios/mismatched/token": ("of another problem", LIGHT.unknown),
    },
    "log-ratio of steps, nats per token": {
        "steps/log_ratios/correct/token": ("correct", LIGHT.correct),
        "steps/log_ratios/incorrect/token": ("incorrect", LIGHT.incorrect),
    },
}
"""Panels by title: the keys of a training's history, with their labels and colours."""


def read_histories(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Each round's history of training, in the order of rounds; raise `UserError` where there is none."""
    folder = run / "reports" / "stages" / "train"
    rounds = sorted(folder.glob("M*.json"), key=lambda path: int(path.stem[1:]))
    histories = {path.stem: json.loads(path.read_text(encoding="utf-8")).get("history") for path in rounds}
    if not histories or not all(histories.values()):
        raise UserError(f"{folder}: no history of a training; name a project in which train and report have run")
    return histories


def draw_curves(histories: dict[str, list[dict[str, Any]]]) -> bytes:
    """PNG: rounds side by side on one axis of optimizer steps; a point is a mean over the steps since the one before.

    A log-ratio is against the policy that the round began with, so that it begins at 0 in each.
    """
    with use_theme(LIGHT):
        from matplotlib.figure import Figure

        fig = Figure(figsize=(10, 3.4), layout="constrained")
        for axes, (title, series) in zip(fig.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            start = 0
            for number, (name, history) in enumerate(histories.items()):
                for key, (label, color) in series.items():
                    points = [(start + entry["step"], entry[key]) for entry in history if key in entry]
                    if not points:  # KTO has no loss of steps
                        continue
                    axes.plot(*zip(*points, strict=True), "o-", ms=3, color=color, label=None if number else label)
                axes.text(start, 1.0, f" {name}", transform=axes.get_xaxis_transform(), va="top", color=LIGHT.muted)
                axes.axvline(start, color=LIGHT.grid, zorder=0)
                start += history[-1]["step"]
            axes.set_title(title)
            axes.set_xlabel("optimizer steps")
            if axes.lines:
                axes.legend(loc="best")
        return save_png(fig)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments curves", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    given = parser.parse_args(arguments)
    given.out.write_bytes(draw_curves(read_histories(given.run)))
