"""The whole graph at the smoke setting, in a clone, by the commands that a user runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml


def run(place: Path, *command: str) -> str:
    """Run a command in `place` and return its output; fails with the output shown."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=place, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def clone(target: Path) -> None:
    """The tracked and new files of this tree as a repository of their own, with the smoke recipe in force."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], text=True, capture_output=True, check=True
    )
    for name in listed.stdout.splitlines():
        if Path(name).is_file() and name != "dvc.lock":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(Path(name).read_bytes())
    (target / "params.yaml").write_bytes(Path("recipes/smoke.yaml").read_bytes())
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "clone"],
    ):
        subprocess.run(["git", *command], cwd=target, check=True)


def edit(place: Path, *path_and_value: object) -> None:
    """Set one key of params.yaml."""
    *path, last, value = path_and_value
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    block = recipe
    for key in path:
        block = block[key]
    block[last] = value
    (place / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


def outputs(place: Path) -> dict[str, str]:
    """Hash of each file that the graph keeps, but for the stages' reports, which tell times."""
    lock = yaml.safe_load((place / "dvc.lock").read_text(encoding="utf-8"))
    named = {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    return {path: md5 for path, md5 in named.items() if path.startswith(("data/", "models/")) and "reports" not in path}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("clone")
    clone(target)
    return target


def test_the_graph_from_nothing_to_report_and_what_changes_rerun(place: Path) -> None:
    first = run(place, "dvc", "repro")
    assert "report" in ran(first)
    assert "train@M1" in ran(first)
    table = pl.read_csv(place / "reports" / "rounds.csv")
    assert table["round"].to_list() == ["M0", "M1"]
    assert {"policy", "method", "pass_at_1", "stepwise_error"} <= set(table.columns)
    assert (place / "reports" / "index.html").stat().st_size > 10_000
    manifest = json.loads((place / "data/datasets/M1/manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == pl.read_parquet(place / "data/datasets/M1/step_kto.parquet").height > 0

    assert ran(run(place, "dvc", "repro")) == []

    models = (place / "models/M1/model.safetensors").read_bytes()
    # Another arm is one line; it shares the samples of its starting policy, and runs nothing of the first.
    edit(place, "rounds", "K1", {"policy": "M0", "train": {"method": "kto"}})
    arm = ran(run(place, "dvc", "repro"))
    assert arm
    assert all(name.endswith("@K1") or name == "report" for name in arm), arm
    sampled = json.loads((place / "reports/stages/sample/K1.json").read_text(encoding="utf-8"))
    assert sampled["generated"] == 0
    assert pl.read_csv(place / "reports" / "rounds.csv")["round"].to_list() == ["M0", "M1", "K1"]

    arm_model = (place / "models/K1/model.safetensors").read_bytes()

    # One round's training setting reruns that training and what follows.
    edit(place, "rounds", "K1", {"policy": "M0", "train": {"method": "kto", "beta": 2.0}})
    changed = ran(run(place, "dvc", "repro"))
    assert changed == ["recipe@K1", "train@K1", "evaluate@K1", "report"], changed
    assert (place / "models/M1/model.safetensors").read_bytes() == models

    # Taking the change back takes the results back, and trains nothing.
    edit(place, "rounds", "K1", {"policy": "M0", "train": {"method": "kto"}})
    reverted = ran(run(place, "dvc", "repro"))
    assert reverted == ["recipe@K1", "report"], reverted
    assert (place / "models/K1/model.safetensors").read_bytes() == arm_model

    # From nothing, journals too, the same bytes come out.
    before = outputs(place)
    shutil.rmtree(place / "work")
    edit(place, "rounds", {"M1": {"policy": "M0"}})
    again = ran(run(place, "dvc", "repro", "--force"))
    assert "sample@M1" in again
    assert {path: before[path] for path in outputs(place)} == outputs(place)

    shown = run(place, "dvc", "metrics", "show")
    assert "pass_at_1" in shown


def test_a_misspelt_key_is_named(place: Path) -> None:
    edit(place, "rounds", "M1", {"policy": "M0", "train": {"betta": 1.0}})
    done = subprocess.run(
        [sys.executable, "-m", "stages.params", "check"], cwd=place, text=True, capture_output=True, check=False
    )
    edit(place, "rounds", "M1", {"policy": "M0"})
    assert done.returncode == 1
    assert "rounds.M1.train.betta: unknown key; did you mean beta?" in done.stderr
