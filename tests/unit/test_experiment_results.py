"""The committed results of experiments: their tables are what today's code makes of the committed metrics."""

from pathlib import Path

import polars as pl
import pytest

from experiments.summary_tables import format_tables
from experiments.variants import EXPERIMENTS

RESULTS = Path("docs/results")


@pytest.mark.parametrize("experiment", sorted(EXPERIMENTS))
def test_the_committed_tables_follow_from_the_committed_metrics(experiment: str) -> None:
    metrics = pl.read_csv(RESULTS / f"{experiment}.csv")
    rounds = max(int(name[1:]) for name in metrics["round"])
    tables = (RESULTS / f"{experiment}.md").read_text(encoding="utf-8")
    assert tables == format_tables(metrics, EXPERIMENTS[experiment], rounds)


@pytest.mark.parametrize("experiment", sorted(EXPERIMENTS))
def test_the_metrics_have_the_columns_of_a_report(experiment: str) -> None:
    of_report = pl.read_csv("reports/rounds.csv").columns
    assert pl.read_csv(RESULTS / f"{experiment}.csv").columns == [*of_report, "seed"]
