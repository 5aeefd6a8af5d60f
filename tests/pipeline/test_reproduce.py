"""A committed run repeated in a fresh clone: the same bytes, and where another processor's floats begin to differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tools.reproduce import compare_files, compare_json

CAPABILITY = torch.backends.cpu.get_cpu_capability()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def place(smoke_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("reproduce") / "clone"
    shutil.copytree(smoke_made, target, symlinks=True)
    return target


def reproduce(place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "tools.cli", "reproduce"]
    return subprocess.run(command, cwd=place, env=environment, text=True, capture_output=True, check=False)


@pytest.mark.slow
def test_every_byte_comes_again_whatever_the_environment_says_of_threads(place: Path) -> None:
    done = reproduce(place, OMP_NUM_THREADS="2", MKL_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1].endswith("every byte of 14 stages is the committed one")


@pytest.mark.slow
@pytest.mark.skipif(CAPABILITY == "DEFAULT", reason="this processor has no vector units")
def test_another_processor_s_first_difference_is_named_and_measured(place: Path) -> None:
    done = reproduce(place, ATEN_CPU_CAPABILITY="avx2" if CAPABILITY == "AVX512" else "default")
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-4000:]
    shown = done.stdout[done.stdout.index("first difference: ") :].splitlines()
    assert shown[0].startswith("first difference: seed_model, the first of ")
    assert shown[1] == "  inputs: the same; params and command: the same"
    [weights] = [line for line in shown if line.startswith("  models/M0/model.safetensors: ")]
    assert " weights differ, by at most " in weights
    assert "metrics:" in shown


def test_single_files_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    import numpy as np
    import polars as pl
    from safetensors.numpy import save_file

    for name, value in (("a", 1.0), ("b", 1.5)):
        save_file({"w": np.array([0.0, value], np.float32)}, tmp_path / f"{name}.safetensors")
        pl.DataFrame({"x": [1.0, value], "y": ["p", "q"]}).write_parquet(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.json").write_text(json.dumps({"loss": [value, 2], "name": name}))
        (tmp_path / f"{name}.txt").write_text(name)

    def compare(suffix: str) -> str:
        return compare_files(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}")

    assert compare("safetensors") == "1 of 2 weights differ, by at most 0.5"
    assert compare("parquet") == "1 of 2 rows differ"
    assert compare("json") == "loss 0: 1 -> 1.5 (0.33 of it); 1 of 2 numbers differ"
    assert compare("txt") == "other bytes"
    assert compare_json({"a": 1}, {"a": 1}) == ["0 of 1 numbers differ"]
