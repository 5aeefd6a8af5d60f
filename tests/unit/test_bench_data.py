"""The measurement of the CPU stages: its synthetic rounds are rounds, and what it says is what it measured."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

from benchmarks import data_stages as bench_data
from benchmarks.data_stages import (
    StageMeasurement,
    benchmark_stages,
    fit_growth,
    make_round,
    read_session_memory,
    shift_boxed_numbers,
)
from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, STEP, read_table, write_table
from stages.common.verifiers import verify_answers

ROWS = [
    {"problem": "Six times seven?", "answer": "42", "recorded_correct": [True, False],
     "solutions": ["6 * 7 = 42.\n\nSo \\boxed{42}.", "6 * 7 = 48.\n\nSo \\boxed{48}."]},
    {"problem": "Half of one?", "answer": "\\frac12", "recorded_correct": [True, True],
     "solutions": ["It is \\boxed{\\frac12}.", "1 / 2 = 0.5.\n\n\\boxed{0.5}"]},
]  # fmt: skip


def test_copies_are_problems_of_their_own_and_verdicts_hold(tmp_path: Path) -> None:
    assert make_round(tmp_path, ROWS, 40) == 40
    problems = read_table(tmp_path / "problems", PROBLEM, bench_data.DIGITS)
    samples = read_table(tmp_path / "samples", SAMPLE, bench_data.DIGITS)
    outcomes = read_table(tmp_path / "outcomes", OUTCOME, bench_data.DIGITS)
    assert (problems.height, samples.height, outcomes.height) == (20, 40, 40)
    assert sorted(problems["answer"]) == sorted([*map(str, range(42, 52)), *["\\frac12"] * 10])
    both = samples.join(problems, on="problem_id").join(outcomes.select("sample_id", "is_correct"), on="sample_id")
    found = [
        verdict.is_correct for verdict in verify_answers(list(both.select("answer", "completion").iter_rows()), 1, 5.0)
    ]
    assert found == both["is_correct"].to_list()


def test_whole_numbers_in_boxes_are_shifted_and_nothing_else() -> None:
    assert shift_boxed_numbers("3 is \\boxed{3}, not \\boxed{3.5} or \\boxed{\\frac12}", 4) == (
        "3 is \\boxed{7}, not \\boxed{3.5} or \\boxed{\\frac12}"
    )


@pytest.mark.slow
def test_every_stage_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    found = benchmark_stages([16], ["outcome", "select", "split", "dataset"], path, tmp_path)
    assert [(it.stage, it.samples) for it in found] == [(stage, 16) for stage in bench_data.STAGES]
    assert all(it.seconds > 0 and it.work_s > 0 and it.own_gb > 0.01 for it in found)
    assert [child.name for child in tmp_path.iterdir()] == ["rows.jsonl"]
    assert "dataset         16 samples" in capsys.readouterr().out


def test_growth_is_the_exponent_between_the_sizes() -> None:
    linear = [StageMeasurement("split", 10, 9.0, 3.0, 1.0, 1.0), StageMeasurement("split", 1000, 9.0, 300.0, 1.0, 1.0)]
    squared = [
        StageMeasurement("outcome", 1000, 9.0, 9.0, 1.0, 1.0),
        StageMeasurement("outcome", 10, 9.0, 0.0009, 1.0, 1.0),
    ]
    assert fit_growth([*linear, *squared]) == {"split": pytest.approx(1.0), "outcome": pytest.approx(2.0)}
    assert fit_growth(linear[:1]) == {}


def test_memory_is_that_of_a_session_s_processes() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        own, files = read_session_memory(process.pid)
        assert 0 < own < 100e6
        assert 0 < files < 100e6
        assert read_session_memory(os.getsid(0))[0] > own
    finally:
        process.communicate()
    assert read_session_memory(process.pid) == (0, 0)


def test_labels_are_drawn_by_hash(tmp_path: Path) -> None:
    make_round(tmp_path, ROWS, 400)
    samples = read_table(tmp_path / "samples", SAMPLE, bench_data.DIGITS)
    steps = samples.select("sample_id", "problem_id", step=pl.lit(0, pl.Int32), start=pl.lit(0, pl.Int32),
                           end=pl.col("completion").str.len_chars().cast(pl.Int32))  # fmt: skip
    write_table(tmp_path / "steps", STEP, steps, bench_data.DIGITS)
    bench_data.make_labels(tmp_path)
    labels = read_table(tmp_path / "labels", LABEL, bench_data.DIGITS)["label"]
    assert 0.75 < labels.sum() / labels.len() < 0.95
    assert 0 < labels.null_count() < 60
