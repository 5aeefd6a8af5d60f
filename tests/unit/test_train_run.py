"""The stage as a whole: its three methods, its report, and what a kill at any moment leaves behind."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from stages.common.errors import UserError
from stages.common.params.runtime import RuntimeParams
from stages.common.params.train import PAIR_METHODS, TrainParams
from stages.common.policies import read_policy
from stages.common.provenance import hash_folder
from stages.train.run import train
from stages.train.training_inputs import TrainingInputs
from tests.support.clones import read_facts
from tests.support.tiny_policy import write_dataset, write_policy

RUNTIME = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")
PARAMS = TrainParams(
    method="step_kto",
    w_step=1.0,
    after_first_error="keep",
    beta=1.0,
    learning_rate=1e-2,
    warmup_steps=1,
    lr_scheduler_type="cosine",
    num_epochs=1,
    batch_size=4,
    micro_batch_size=None,
    gradient_accumulation_steps=1,
    max_grad_norm=1.0,
    max_length=64,
    dtype="float32",
    gradient_checkpointing=False,
    save_steps=3,
    lora=None,
    launch=None,
    report_to=None,
)
ROWS = 40


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_policy(folder / "M0")
    write_dataset(folder / "rows", ROWS)
    write_dataset(folder / "pairs", ROWS, per_problem=4)
    return folder


def go(inputs: Path, place: Path, dataset: str = "rows", **changes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Train in this process; returns the policy's files and the report."""
    chosen = TrainingInputs(inputs / dataset, inputs / "M0", PARAMS.model_copy(update=changes), seed=1)
    train(chosen, RUNTIME, place / "out", place / "report.json", place / "work", place / "journal")
    left = [path for path in (place / "work").iterdir() if path.is_dir() and path.suffix != ".tensorboard"]
    assert not left, "checkpoints are left behind"
    return hash_folder(place / "out"), json.loads((place / "report.json").read_text())


@pytest.mark.parametrize("method", ["step_kto", "kto", "rft"])
def test_methods(inputs: Path, tmp_path: Path, method: str) -> None:
    files, report = go(inputs, tmp_path, method=method)
    assert set(files) == {
        "README.md",
        "config.json",
        "generation_config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    policy = read_policy(tmp_path / "out")
    assert policy.hash == report["policy"] != read_policy(inputs / "M0").hash
    assert policy.load_model().num_parameters() == read_policy(inputs / "M0").load_model().num_parameters()
    rows = pl.read_parquet(inputs / "rows" / "step_kto.parquet")
    kept = rows if method != "rft" else rows.filter(pl.col("label"))
    assert report["rows"] == kept.height
    assert report["num_steps"] == math.ceil(kept.height / 4)
    assert report["drops"] == {}
    assert report["labels"]["outcome"] == {
        "correct": kept["label"].sum(),
        "incorrect": (~kept["label"]).sum(),
        "masked": 0,
    }
    labels = rows["steps"].explode().struct.field("label")
    known = {"correct": labels.sum(), "incorrect": (~labels).sum(), "unknown": labels.null_count()}
    assert report["labels"]["step"] == (
        known if method == "step_kto" else {"correct": 0, "incorrect": 0, "unknown": kept.height}
    )
    assert report["history"][-1] == report["final"]
    assert report["final"]["step"] == report["num_steps"]
    assert all(math.isfinite(value) for entry in report["history"] for value in entry.values())
    of_kto = {"kl", "rewards/margins"}
    wanted = {"step_kto": of_kto | {"kl/step", "steps/rewards/margins", "steps/accuracy"}, "kto": of_kto, "rft": set()}
    assert wanted[method] <= {name for entry in report["history"] for name in entry}
    card = (tmp_path / "out" / "README.md").read_text()
    assert report["made_from"]["dataset"] in card
    for file in files:
        assert str(inputs).encode() not in (tmp_path / "out" / file).read_bytes(), f"{file} holds a path"


def test_training_learns(inputs: Path, tmp_path: Path) -> None:
    _, report = go(inputs, tmp_path, num_epochs=6)
    first, last = report["history"][0], report["history"][-1]
    assert last["loss/outcome"] < first["loss/outcome"]
    assert last["loss/step"] < first["loss/step"]
    assert last["steps/rewards/margins"] > 0


def test_chat_rows(inputs: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "chat", 8, chat=True)
    _, report = go(inputs, tmp_path, dataset=str(tmp_path / "chat"))
    assert report["rows"] == 8


def test_accumulation_and_the_other_rules(inputs: Path, tmp_path: Path) -> None:
    _, report = go(
        inputs, tmp_path, gradient_accumulation_steps=2, after_first_error="truncate", gradient_checkpointing=True
    )
    assert report["num_steps"] == 5
    _, masked = go(inputs, tmp_path, after_first_error="mask")
    assert masked["labels"]["step"]["unknown"] > 0
    assert report["tokens"] < masked["tokens"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["use_cache"] is True


def test_long_rows_are_counted(inputs: Path, tmp_path: Path) -> None:
    whole = go(inputs, tmp_path)[1]
    _, report = go(inputs, tmp_path, max_length=whole["tokens"] // ROWS)
    dropped = report["drops"]["longer than max_length"]
    assert dropped["rows"] == ROWS - report["rows"] > 0
    assert dropped["examples"][0]["where"].startswith("s")


def test_a_diverged_run_stops_and_writes_nothing(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the run has diverged"):
        go(inputs, tmp_path, learning_rate=1e30)
    assert not (tmp_path / "out").exists()


def test_an_order_for_other_blocks_is_reported(inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    go(inputs, tmp_path, batch_size=8)
    assert "blocks of 4 rows and train.batch_size is 8" in caplog.text


def spoil(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)


def test_unusable_data_sets_are_named(inputs: Path, tmp_path: Path) -> None:
    manifest = (inputs / "rows" / "manifest.json").read_text()
    place = write_dataset(tmp_path / "rows", ROWS)
    with pytest.raises(UserError, match=r"nowhere.manifest\.json: missing"):
        go(inputs, tmp_path, dataset=str(tmp_path / "nowhere"))
    spoil(place, "{}")
    with pytest.raises(ValueError, match=r"manifest\.json: not a data set manifest"):
        go(inputs, tmp_path, dataset=str(place))
    spoil(place, manifest.replace('"text"', '"html"'))
    with pytest.raises(ValueError, match="format: expected text or chat, found 'html'"):
        go(inputs, tmp_path, dataset=str(place))
    spoil(place, manifest)
    (place / "kto.parquet").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"kto\.parquet: its sha256 is not the one in"):
        go(inputs, tmp_path, dataset=str(place))


# --- killed and run again ---

KILL_AT = """
import os, runpy, signal, sys
moment, sys.argv = sys.argv[1], ["stages.train", *sys.argv[2:]]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
if moment == "before a checkpoint is complete":
    from stages.common.training import checkpoints
    checkpoints.write_json = lambda *_: die()
elif moment == "between checkpoints":
    from stages.train.trainer.divergence import DivergenceCallback
    DivergenceCallback.on_step_end = lambda self, args, state, control, **_: die() if state.global_step == 8 else None
elif moment == "before the report":
    from stages.train import run
    run.summarize_training = lambda *_: die()
runpy.run_module("stages.train", run_name="__main__")
"""
"""Runs the command and kills it, as ``kill -9`` does, at one exact moment."""


def command(place: Path, inputs: Path, moment: str, method: str = "step_kto") -> subprocess.CompletedProcess[str]:
    place.mkdir(exist_ok=True)
    recipe = {"seed": 1, "train": {**PARAMS.model_dump(), "method": method}, "runtime": RUNTIME.model_dump()}
    (place / "params.yaml").write_text(yaml.safe_dump(recipe))
    dataset = inputs / ("pairs" if method in PAIR_METHODS else "rows")
    arguments = ["--recipe", "params.yaml", "--dataset", str(dataset), "--policy", str(inputs / "M0")]
    arguments += ["--out", "models/M1", "--report", "reports/M1.json"]
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", KILL_AT, moment, *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["step_kto", "dpo", "simpo"])
def test_killed_runs_end_in_the_same_bytes(inputs: Path, tmp_path: Path, method: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    results: dict[str, Any] = {}
    work = threading.Thread(target=lambda: results.update(whole=command(whole, inputs, "never", method)))
    work.start()
    resumed = []
    for moment in ("before a checkpoint is complete", "between checkpoints", "before the report"):
        done = command(killed, inputs, moment, method)
        assert done.returncode == -signal.SIGKILL, done.stderr
        [folder] = [
            path for path in (killed / "work" / "train").iterdir() if path.is_dir() and path.name != "reference"
        ]
        resumed.append(sorted(path.name for path in folder.glob("checkpoint-*") if (path / "complete.json").exists()))
    assert resumed == [[], ["checkpoint-3", "checkpoint-6"], ["checkpoint-10", "checkpoint-9"]]
    last = command(killed, inputs, "never", method)
    assert last.returncode == 0, last.stderr
    work.join()
    assert results["whole"].returncode == 0, results["whole"].stderr
    assert hash_folder(killed / "models" / "M1") == hash_folder(whole / "models" / "M1")
    one, other = (json.loads((place / "reports" / "M1.json").read_text()) for place in (whole, killed))
    assert read_facts(killed, "train_policy")["resumed_from_step"] == 10
    assert read_facts(whole, "train_policy")["resumed_from_step"] is None
    assert one == other
    assert not [path for path in (killed / "work" / "train").iterdir() if path.is_dir()]


def test_only_complete_checkpoints_are_trusted(tmp_path: Path) -> None:
    from stages.common.tables import write_json
    from stages.common.training.checkpoints import COMPLETE, find_last_complete

    assert find_last_complete(tmp_path) is None
    for number, (content, marked) in {3: ("abc", 3), 20: ("abc", 3), 30: ("ab", 3), 100: ("abc", None)}.items():
        folder = tmp_path / f"checkpoint-{number}"
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "weights").write_text(content)
        if marked:
            write_json(folder / COMPLETE, {"inner/weights": marked})
    (tmp_path / "checkpoint-3" / COMPLETE).write_text('{"inner/wei')
    assert find_last_complete(tmp_path) == tmp_path / "checkpoint-20"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-20"]
