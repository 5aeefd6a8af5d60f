"""The speed benchmark: its table against metrics computed by hand, and its recorded_inputs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.training import recorded_inputs
from benchmarks.training.__main__ import format_table, run_in_process
from stages.common.errors import UserError

METRICS = {
    "num_threads": 1,
    "size": "small",
    "batch_size": 8,
    "num_rows": 48,
    "device": "cpu",
    "cpu_seconds_per_row": 0.5,
}


def result(trainer: str, w_step: float, speed: float, peak: float, losses: list[float]) -> dict[str, Any]:
    passes = None if trainer == "trl" else 2
    metrics = {"rows_per_second": speed, "peak_mb": peak, "losses": losses}
    return {
        **METRICS,
        "trainer": trainer,
        "w_step": w_step,
        "micro_batch_size": passes,
        "packing": w_step > 0,
        **metrics,
    }


def test_ratios_are_to_trl() -> None:
    lines = format_table(
        [
            result("trl", 0.0, 2.0, 1000.0, [0.5, 0.4]),
            result("ours", 0.0, 5.0, 600.0, [0.5, 0.40001]),
            result("ours", 1.0, 4.0, 650.0, [1.0, 0.9]),
        ]
    ).splitlines()
    assert lines[2] == "| trl | 0 | all | 2.00 | 1.00 | 0.500 | 1000 | 1.00 | 0.0e+00 |"
    assert lines[3] == "| ours | 0 | 2 | 5.00 | 2.50 | 0.500 | 600 | 0.60 | 1.0e-05 |"
    assert lines[4].startswith("| ours, packed | 1 | 2 |")
    assert lines[4].endswith("| 4.00 | 2.00 | 0.500 | 650 | 0.65 |  |"), "another loss is not compared"


def test_a_failed_measurement_says_why() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'num_threads'"):
        run_in_process({"trainer": "trl"})


def test_missing_data_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recorded_inputs, "RECORDED", tmp_path / "nowhere.jsonl")
    with pytest.raises(UserError, match=r"nowhere\.jsonl: missing"):
        recorded_inputs.read_rows(8)


@pytest.mark.skipif(not recorded_inputs.RECORDED.is_file(), reason=f"{recorded_inputs.RECORDED} is missing")
def test_rows_are_what_the_trainers_read() -> None:
    rows = recorded_inputs.read_rows(120)
    assert {row["label"] for row in rows} == {True, False}
    assert all(a["prompt"] != b["prompt"] for a, b in pairwise(rows))
    for row in rows:
        bounds = [0, *(step["end"] for step in row["steps"])]
        assert [step["start"] for step in row["steps"]] == bounds[:-1]
        assert bounds[-1] == len(row["completion"])
