"""The same rows split over passes or processes: the same losses, gradients and weights as in one pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.distributed_run import train_tiny

ROWS = 26
"""Of 8 a step: the last step is a short one, and odd for two processes."""

CURES = {
    "step_beta": 2.0,
    "normalize_by_length": True,
    "nll_weight": 0.02,
    "undesirable_weight": 9.0,  # so that log-ratios fall and reference points are below 0
    "step_undesirable_weight": 9.0,
    "nll_on": "steps",
    "z_clamp": False,
    "z_momentum": 0.5,
    "max_displacement": None,
}
"""Everything that may be added to the loss."""

Result = tuple[list[dict[str, float]], dict[str, torch.Tensor]]


def agree(one: Result, other: Result) -> None:
    assert len(one[0]) == len(other[0]) == 8
    for entry, wanted in zip(one[0], other[0], strict=True):
        assert entry["loss"] == pytest.approx(wanted["loss"], abs=1e-6)
        assert entry["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=1e-4)
        assert entry["kl"] == pytest.approx(wanted["kl"], abs=1e-5)
        assert entry["kl/step"] == pytest.approx(wanted["kl/step"], abs=1e-5)
    for name, weight in one[1].items():
        # Adam divides by a gradient's size: where that is rounding, so is what becomes of it.
        assert torch.allclose(weight, other[1][name], atol=2e-4), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("whole")
    return train_tiny(folder, ROWS, per_device_train_batch_size=8, kl_block_size=4)


@pytest.fixture(scope="module")
def whole_with_cures(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train_tiny(tmp_path_factory.mktemp("cures"), ROWS, per_device_train_batch_size=8, kl_block_size=4, **CURES)


@pytest.mark.parametrize(
    "parts",
    [{"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}, {"micro_batch_size": 3, "packing": True}],
)
@pytest.mark.parametrize("nll_on", ["steps", "completions"])
def test_what_is_added_to_the_loss_is_the_same_in_parts(
    tmp_path: Path, whole_with_cures: Result, parts: dict[str, int], nll_on: str
) -> None:
    options = {"per_device_train_batch_size": 8, "kl_block_size": 4, **CURES, "nll_on": nll_on}
    wanted = whole_with_cures if nll_on == "steps" else train_tiny(tmp_path / "whole", ROWS, **options)
    found = train_tiny(tmp_path / "parts", ROWS, **{**options, **parts})
    agree(found, wanted)
    for entry, in_one_go in zip(found[0], wanted[0], strict=True):
        for name in ("loss/outcome", "loss/step", "loss/nll", "kl/unclamped"):
            assert entry[name] == pytest.approx(in_one_go[name], abs=1e-6), name
        assert entry["kl"] == entry["kl/unclamped"]
    assert min(entry["kl"] for entry in found[0]) < 0


@pytest.mark.parametrize("batch", [2, 4])
def test_an_accumulated_batch_is_the_batch_in_one_go(tmp_path: Path, whole: Result, batch: int) -> None:
    parts = train_tiny(
        tmp_path, ROWS, per_device_train_batch_size=batch, gradient_accumulation_steps=8 // batch, kl_block_size=4
    )
    agree(parts, whole)
    for entry, wanted in zip(parts[0], whole[0], strict=True):
        assert entry["loss/outcome"] == pytest.approx(wanted["loss/outcome"], abs=1e-6)
        assert entry["loss/step"] == pytest.approx(wanted["loss/step"], abs=1e-6)


@pytest.mark.parametrize(("rows", "packing"), [(1, False), (3, False), (None, True), (3, True)])
def test_a_batch_in_parts_or_packed_is_the_batch_in_one_go(
    tmp_path: Path, whole: Result, rows: int | None, packing: bool
) -> None:
    options = {"per_device_train_batch_size": 8, "kl_block_size": 4, "packing": packing}
    parts = train_tiny(tmp_path, ROWS, **options, micro_batch_size=rows)
    agree(parts, whole)
    for entry, wanted in zip(parts[0], whole[0], strict=True):
        assert entry.keys() == wanted.keys()
        for name in entry.keys() - {"padding"}:
            assert entry[name] == pytest.approx(wanted[name], abs=1e-4), name
        if rows == 1 or packing:
            assert entry["padding"] == 0 < wanted["padding"]


@pytest.mark.parametrize("packing", [False, True])
def test_parts_and_accumulation_together(tmp_path: Path, whole: Result, packing: bool) -> None:
    options = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "kl_block_size": 4}
    agree(train_tiny(tmp_path, ROWS, **options, micro_batch_size=3, packing=packing), whole)


def test_the_runs_compared_learn(whole: Result) -> None:
    losses = [entry["loss"] for entry in whole[0]]
    assert losses[0] == pytest.approx(1.0)
    assert sum(losses[4:]) < sum(losses[:4])
    assert max(entry["kl"] for entry in whole[0]) > 0, "no reference point was ever above 0"


def launch(folder: Path, processes: int, **options: Any) -> Result:
    """Train in `processes` processes on CPU, connected by gloo."""
    folder.mkdir()
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, str(root / "tests/support/distributed_run.py"), str(folder), json.dumps({"rows": ROWS, **options})],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "log.json").read_text()), torch.load(folder / "weights.pt")


@pytest.mark.slow
@pytest.mark.parametrize("is_packed_with_cures", [False, True])
def test_two_processes_are_one(
    tmp_path: Path, whole: Result, whole_with_cures: Result, is_packed_with_cures: bool
) -> None:
    options = {"per_device_train_batch_size": 4, "kl_block_size": 4, "ddp_backend": "gloo", "micro_batch_size": 3}
    if is_packed_with_cures:
        options |= {**CURES, "packing": True}
    two = launch(tmp_path / "two", 2, **options)
    one = whole_with_cures if is_packed_with_cures else whole
    agree(two, one)
    for entry, wanted in zip(two[0], one[0], strict=True):
        assert entry.get("loss/nll", 0) == pytest.approx(wanted.get("loss/nll", 0), abs=1e-6)
        assert entry["steps/accuracy"] == pytest.approx(wanted["steps/accuracy"])
