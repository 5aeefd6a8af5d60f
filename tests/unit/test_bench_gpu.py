"""The GPU benchmark, at a size for CPUs: its parts, its table, and parts that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig

from benchmarks.gpu import timed_sampling
from benchmarks.gpu.__main__ import ROOT, Part, format_table, list_training_parts, run_part
from benchmarks.training import drawn_inputs
from benchmarks.training.flops import compute_mfu, count_forward_flops, count_row_flops
from benchmarks.training.recorded_inputs import SIZES, make_model
from benchmarks.training.timed_run import time_run


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where the recorded completions are missing."""
    monkeypatch.setattr(drawn_inputs, "RECORDED", tmp_path / "nowhere.jsonl")
    monkeypatch.setattr(drawn_inputs, "MAX_TOKENS", {"prompt": 20, "completion": 60})


def test_a_training_part_says_how_fast_and_how_large(monkeypatch: pytest.MonkeyPatch) -> None:
    [part] = [part for part in list_training_parts(True) if part.name == "ours, packed, 4 rows a pass"]
    result = time_run(part.config)
    assert result["rows_per_second"] > 0
    assert result["peak_mb"] > 0
    assert result["flops_per_second"] > 0
    assert result["mfu"] is None, "no peak is known of this device"
    assert result["text"] == "random words of recorded lengths"
    assert 4 < result["tokens_per_row"] <= 81
    assert len(result["losses"]) == 6, "two steps an epoch"


def test_a_sampling_part_draws_what_was_asked_for(tmp_path: Path) -> None:
    config = {"engine": "generate", "size": "tiny", "folder": str(tmp_path / "m"), "num_prompts": 3, "num_tokens": 5}
    result = timed_sampling.time_run(config)
    assert result["tokens_per_second"] * result["seconds"] == pytest.approx(15)


def test_drawn_rows_are_what_the_trainers_read() -> None:
    rows, tokenizer, _ = drawn_inputs.make_inputs(40, 4096)
    assert {row["label"] for row in rows} == {True, False}
    for row in rows:
        bounds = [0, *(step["end"] for step in row["steps"])]
        assert [step["start"] for step in row["steps"]] == bounds[:-1]
        assert bounds[-1] == len(row["completion"])
        assert len(tokenizer(row["completion"])["input_ids"]) == len(row["completion"].split()) <= 60


def run_module(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: int = 60) -> dict[str, Any]:
    """The result of a part whose module holds `code`."""
    (tmp_path / "part_of_a_test.py").write_text(code)
    monkeypatch.setattr("benchmarks.gpu.__main__.ROOT", tmp_path)
    return run_part(Part("train", "test", limit_s, "part_of_a_test"), 60)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise MemoryError('CUDA out of memory')", "MemoryError: CUDA out of memory"),
        ("import os; os._exit(7)", "exit status 7"),
        ("print('no JSON')", "no result was printed"),
        ("", "no result was printed"),
    ],
)
def test_a_failed_part_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    assert run_module(code, tmp_path, monkeypatch) == {"failed": reason}


def test_a_part_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_module("import time; time.sleep(60)", tmp_path, monkeypatch, limit_s=1) == {"failed": "more than 1 s"}


def test_parts_that_cannot_run_say_so() -> None:
    part = Part("train", "test", 60, "json", package="no_such_package")
    assert run_part(part, 60) == {"failed": "no_such_package is not installed"}
    assert run_part(part, 0) == {"failed": "no time was left"}
    assert "No such file" in run_part(Part("train", "test", 60, "json", python="/nowhere/python"), 60)["failed"]


def test_the_table_compares_with_trls_best() -> None:
    def train(name: str, speed: float, peak: float) -> dict[str, Any]:
        return {"group": "train", "name": name, "rows_per_second": speed, "peak_mb": peak, "mfu": speed / 200}

    lines = format_table(
        [
            train("TRL, 8 rows a pass", 30.0, 40 * 1024),
            train("TRL, 16 rows a pass", 40.0, 60 * 1024),
            {"group": "train", "name": "TRL, 32 rows a pass", "failed": "OutOfMemoryError"},
            train("ours, packed", 90.0, 30 * 1024),
            {"group": "sample", "name": "vLLM", "tokens_per_second": 9000.4},
            {"group": "round", "name": "smoke", "seconds": 61.2},
        ]
    ).splitlines()
    assert lines[2:] == [
        "| train | TRL, 8 rows a pass | 30.0 rows/s | 0.75 | 40.0 | 0.67 | 15.0% |",
        "| train | TRL, 16 rows a pass | 40.0 rows/s | 1.00 | 60.0 | 1.00 | 20.0% |",
        "| train | TRL, 32 rows a pass | failed: OutOfMemoryError |  |  |  |  |",
        "| train | ours, packed | 90.0 rows/s | 2.25 | 30.0 | 0.50 | 45.0% |",
        "| sample | vLLM | 9000 tokens/s |  |  |  |  |",
        "| round | smoke | 61 s |  |  |  |  |",
    ]


def test_operations_are_those_of_the_weights_and_of_attention() -> None:
    config = LlamaConfig(**SIZES["1b"])
    layer = 2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192
    scores = 2 * 2048 * 100 * 100  # two products, 2 per multiplication and addition, half of all pairs
    wanted = 16 * (2 * layer * 100 + scores) + 2 * 128256 * 2048 * 70
    assert count_forward_flops(config, 30, 70) == pytest.approx(wanted)
    row = {"prompt_ids": [0] * 30, "completion_ids": [0] * 70, "KL_completion_ids": [0] * 70}
    assert count_row_flops(config, row) == pytest.approx(4 * wanted)
    parameters = make_model("small").num_parameters()
    assert count_forward_flops(LlamaConfig(**SIZES["small"]), 0, 1) == pytest.approx(2 * parameters, rel=0.01)


def test_the_peak_is_that_of_the_card() -> None:
    assert compute_mfu(989e12 / 2, "NVIDIA H200") == pytest.approx(0.5)
    assert compute_mfu(1e12, "some other card") is None


@pytest.mark.slow
def test_the_script_runs_at_a_tiny_size(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [str(ROOT / "benchmarks" / "gpu.sh"), "--tiny", "--parts", "train", "sample", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHON": sys.executable})
    assert done.returncode == 0, done.stderr[-2000:]
    results = {result["name"]: result for result in json.loads(out.read_text())["results"]}
    assert len(results) == 7
    for name, result in results.items():
        assert "failed" not in result or name in ("TRL, Liger's kernels, 4 rows a pass", "vLLM"), result
        assert f"| {name} |" in done.stdout
