"""Finished training is kept by content: killed afterwards, it is not paid for twice; a changed input trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.common import trained_models
from stages.common.provenance import hash_folder
from stages.common.trained_models import hand_out, locate_training, reuse_training
from stages.seed_model import __main__ as seed_stage
from stages.train import __main__ as stage
from tests.support.tiny_policy import write_dataset, write_policy

TRAIN = {"method": "step_kto", "beta": 1.0, "learning_rate": 1e-2, "batch_size": 4, "max_length": 64, "save_steps": 3}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small dataset and policy, whose code is known."""
    write_policy(tmp_path / "models/M0")
    write_dataset(tmp_path / "data/datasets/M1", 12)
    (tmp_path / "reports/code").mkdir(parents=True)
    (tmp_path / "reports/code/train.txt").write_text("stages.train.run 0123\n", encoding="utf-8")
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_recipe(place: Path, **changes: Any) -> None:
    recipe = {"seed": 1, "train": TRAIN | changes, "rounds": {"M1": {"policy": "M0"}}}
    (place / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")


OPTIONS = {"recipe": "params.yaml", "dataset": "data/datasets/M1", "policy": "models/M0", "out": "models/M1"}
OPTIONS["report"] = "train.json"


def run_here() -> None:
    stage.train_policy(**{name: Path(path) for name, path in OPTIONS.items()})


def run_killed(before: str) -> None:
    """The stage in a process of its own, killed with SIGKILL before it deletes checkpoints or hands the policy out."""
    program = f"""
import os, shutil, signal
from pathlib import Path
from stages.train import __main__ as stage

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def remove(path, *words, rmtree=shutil.rmtree, **options):
    (kill if "work/train/" in str(path) else rmtree)(path, *words, **options)

if {before!r} == "hand_out":
    stage.hand_out = kill
else:
    shutil.rmtree = remove
stage.train_policy(**{{name: Path(path) for name, path in {OPTIONS!r}.items()}})
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(stage, "run_training", fail)


@pytest.mark.parametrize("when", [pytest.param("rmtree", marks=pytest.mark.slow), "hand_out", "dvc.lock"])
def test_killed_after_its_end_it_is_not_trained_again(place: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """While checkpoints are deleted, before the policy is handed out, and between the stage and dvc.lock."""
    if when == "dvc.lock":
        run_here()
    else:
        run_killed(when)
        assert not Path("models/M1").exists()
    trained = locate_training("train", stage.TrainingInputs(
        Path("data/datasets/M1"), Path("models/M0"), stage.load(stage.TrainParams, Path("params.yaml"), "train"), 1
    ).made_from)  # fmt: skip
    assert trained is not None
    expected, report = hash_folder(trained / "M1"), (trained / "report.json").read_bytes()
    for path in (Path("models/M1"), Path("work/journal"), Path("work/train")):
        trained_models.shutil.rmtree(path, ignore_errors=True)
    Path("train.json").unlink(missing_ok=True)
    forbid_training(monkeypatch)
    run_here()
    assert hash_folder(Path("models/M1")) == expected
    assert Path("train.json").read_bytes() == report
    assert (Path("models/M1/model.safetensors").stat().st_ino) == (trained / "M1/model.safetensors").stat().st_ino


def test_other_params_data_or_code_train(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here()
    first = hash_folder(Path("models/M1"))
    write_recipe(place, beta=2.0)
    run_here()
    assert hash_folder(Path("models/M1")) != first
    forbid_training(monkeypatch)
    write_recipe(place)
    run_here()
    assert hash_folder(Path("models/M1")) == first
    write_recipe(place, learning_rate=1e-3)
    with pytest.raises(AssertionError, match="trained again"):
        run_here()
    write_recipe(place)
    Path("reports/code/train.txt").write_text("stages.train.run 4567\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="trained again"):
        run_here()
    Path("reports/code/train.txt").unlink()
    with pytest.raises(AssertionError, match="trained again"):
        run_here()


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    write_policy(tmp_path / "work/trained/k/M1")
    (tmp_path / "work/trained/k/report.json").write_text("{}\n", encoding="utf-8")
    return tmp_path / "work/trained/k"


@pytest.mark.parametrize("damage", ["weights", "extra", "manifest", "report", "unfinished"])
def test_a_damaged_or_unfinished_entry_is_not_used(entry: Path, tmp_path: Path, damage: str) -> None:
    if damage == "weights":
        with (entry / "M1/model.safetensors").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")
    elif damage == "extra":
        (entry / "M1/more.safetensors").touch()
    elif damage == "manifest":
        (entry / "M1/manifest.json").write_text("{", encoding="utf-8")
    elif damage == "report":
        (entry / "report.json").write_text('{"policy": "other"}', encoding="utf-8")
    else:
        (entry / "report.json").unlink()
    assert not reuse_training(entry, tmp_path / "models/M1", tmp_path / "r.json")
    assert not (tmp_path / "models").exists()
    assert entry.exists() == (damage == "unfinished")


def test_only_the_entries_used_last_are_kept(entry: Path, tmp_path: Path) -> None:
    for number in range(trained_models.MAX_KEPT + 3):
        other = entry.with_name(str(number))
        trained_models.shutil.copytree(entry, other)
        os.utime(other, (number, number))
    assert reuse_training(entry, tmp_path / "models/M1", tmp_path / "r.json")
    kept = {path.name for path in entry.parent.iterdir()}
    assert kept == {"k", *map(str, range(4, trained_models.MAX_KEPT + 3))}
    hand_out(entry, tmp_path / "models/K1", tmp_path / "other.json")
    assert hash_folder(tmp_path / "models/K1") == hash_folder(entry / "M1")


def test_a_seed_model_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports/code").mkdir(parents=True)
    Path("reports/code/seed_model.txt").write_text("stages.seed_model 0123\n", encoding="utf-8")
    toy = {"corpus": {"num_documents": 100}, "hidden_size": 16, "num_layers": 1, "num_heads": 2}

    def make(seed: int) -> tuple[dict[str, str], bytes]:
        recipe = {"seed": seed, "seed_model": {"kind": "toy_arithmetic", "toy_arithmetic": toy}}
        Path("params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        trained_models.shutil.rmtree("models", ignore_errors=True)
        seed_stage.make_seed_model(Path("params.yaml"), Path("models/M0"), Path("seed.json"))
        return hash_folder(Path("models/M0")), Path("seed.json").read_bytes()

    first = make(1)
    assert make(2)[0] != first[0]
    monkeypatch.setattr(seed_stage, "write_seed_policy", None)
    assert make(1) == first
    with pytest.raises(TypeError):
        make(3)
