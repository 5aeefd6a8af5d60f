"""The speed benchmark: its table against figures worked out by hand, and its inputs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.training import inputs
from benchmarks.training.__main__ import measured, table

FIGURES = {"threads": 1, "size": "small", "batch": 8, "rows": 48, "device": "cpu", "cpu_seconds_per_row": 0.5}


def result(trainer: str, w_step: float, speed: float, peak: float, losses: list[float]) -> dict[str, Any]:
    passes = None if trainer == "trl" else 2
    figures = {"rows_per_second": speed, "peak_mb": peak, "losses": losses}
    return {**FIGURES, "trainer": trainer, "w_step": w_step, "pass_rows": passes, **figures}


def test_ratios_are_to_trl() -> None:
    lines = table(
        [
            result("trl", 0.0, 2.0, 1000.0, [0.5, 0.4]),
            result("ours", 0.0, 5.0, 600.0, [0.5, 0.40001]),
            result("ours", 1.0, 4.0, 650.0, [1.0, 0.9]),
        ]
    ).splitlines()
    assert lines[2] == "| trl | 0 | all | 2.00 | 1.00 | 0.500 | 1000 | 1.00 | 0.0e+00 |"
    assert lines[3] == "| ours | 0 | 2 | 5.00 | 2.50 | 0.500 | 600 | 0.60 | 1.0e-05 |"
    assert lines[4].endswith("| 4.00 | 2.00 | 0.500 | 650 | 0.65 |  |"), "another loss is not compared"


def test_a_failed_measurement_says_why() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'threads'"):
        measured({"trainer": "trl"})


def test_missing_data_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inputs, "RECORDED", tmp_path / "nowhere.jsonl")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl: missing"):
        inputs.rows(8)


@pytest.mark.skipif(not inputs.RECORDED.is_file(), reason=f"{inputs.RECORDED} is missing")
def test_rows_are_what_the_trainers_read() -> None:
    rows = inputs.rows(120)
    assert {row["label"] for row in rows} == {True, False}
    assert all(a["prompt"] != b["prompt"] for a, b in pairwise(rows))
    for row in rows:
        bounds = [0, *(step["end"] for step in row["steps"])]
        assert [step["start"] for step in row["steps"]] == bounds[:-1]
        assert bounds[-1] == len(row["completion"])
