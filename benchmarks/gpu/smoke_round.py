"""A smoke round in a copy of the project: ``python -m benchmarks.gpu.smoke_round``, whose last line is JSON."""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LEFT_OUT = (".git", ".venv*", "cache", "tmp", "work", "models", "data", "shared", "__pycache__", "dvc.lock", ".*_cache")
"""What a copy does without: what is made, and what was made from other params."""

SETTINGS = ("train.packing=true", "train.dtype=bfloat16")
"""Packed rows in half precision take the path through FlashAttention on a GPU."""


def run_round() -> dict[str, float | int]:
    """Run it from scratch and return its seconds and the rounds that it reports.

    Raises `subprocess.CalledProcessError` where a command fails, after its output went to standard error.
    """
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        shutil.copy(copy / "recipes" / "smoke.yaml", copy / "params.yaml")
        # DVC wants a repository.
        identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
        for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "copy"]):
            subprocess.run(["git", *command], cwd=copy, check=True, stdout=sys.stderr)
        settings = [part for setting in SETTINGS for part in ("--set", setting)]
        started = time.monotonic()
        command = [sys.executable, "-m", "tools.cli", "repro", *settings]
        subprocess.run(command, cwd=copy, check=True, stdout=sys.stderr)
        seconds = time.monotonic() - started
        with (copy / "reports" / "rounds.csv").open(encoding="utf-8") as rounds:
            return {"seconds": seconds, "num_rounds": sum(1 for _ in csv.DictReader(rounds))}


if __name__ == "__main__":
    print(json.dumps(run_round()))
