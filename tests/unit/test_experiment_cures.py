"""The experiment on displacement with a real model: what it tries, what its table says, and the committed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiments.cures import CURES, LOG_RATIOS, OUT, format_table, read_row
from stages.common.params.train import TrainParams


def make_rounds(last_trained: int | None) -> pl.DataFrame:
    values: dict[str, Any] = {
        f"{metric}{end}": [0.1, value]
        for metric, value in (("pass_at_1", 0.5), ("stepwise_error", 0.25))
        for end in ("", "_low", "_high")
    }
    return pl.DataFrame({"round": ["M0", "M1"], "last_trained": [last_trained] * 2, **values})


def write_report(folder: Path, histories: dict[str, list[float]]) -> None:
    path = folder / "data" / "reports" / "train" / "M1.json"
    path.parent.mkdir(parents=True)
    history = [dict(zip(histories, entry, strict=True)) for entry in zip(*histories.values(), strict=True)]
    path.write_text(json.dumps({"history": history}), encoding="utf-8")


@pytest.mark.parametrize("name", CURES)
def test_a_cure_changes_what_the_stopped_try_had(name: str) -> None:
    stopped = {"method": "step_kto", "beta": 5.0, "learning_rate": 1e-5}
    train = CURES[name][1]
    assert TrainParams(**train).method == "step_kto"
    assert len([key for key in train if train[key] != stopped.get(key)]) == 1


def test_a_cure_is_told_by_m1_and_by_how_far_correct_text_fell(tmp_path: Path) -> None:
    write_report(tmp_path, dict(zip(LOG_RATIOS, ([0.001, -0.05, -0.02], [0.002, 0.001, 0.004]), strict=True)))
    row = read_row("nll", make_rounds(None), tmp_path)
    lines = format_table(pl.DataFrame([row, read_row("rate", make_rounds(0), tmp_path)], infer_schema_length=None))
    told, stopped = lines.splitlines()[2:]
    assert told == ("| `nll_weight: 1` | 50.0 [50.0, 50.0] | 25.0 [25.0, 25.0] | -0.050 | -0.020 | 0.001 | 0.004 |")
    assert stopped == "| `learning_rate: 3e-6` | stopped itself |  |  |  |  |  |"


def test_the_committed_table_follows_from_its_rows() -> None:
    table = pl.read_csv(OUT.with_suffix(".csv"), infer_schema_length=None)
    assert OUT.with_suffix(".md").read_text(encoding="utf-8") == format_table(table)
    page = Path("docs/results/smollm2.md").read_text(encoding="utf-8")
    for line in format_table(table).splitlines():
        assert line in page
