"""The whole graph at the smoke setting, in a clone, by the commands that a user runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from stages.common.runs import list_runs
from tests.support.clones import edit, ran, read_facts, run


def outputs(place: Path) -> dict[str, str]:
    """Hash of each file that the graph keeps, the stages' reports among them."""
    lock = yaml.safe_load((place / "dvc.lock").read_text(encoding="utf-8"))
    named = {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    return {path: md5 for path, md5 in named.items() if path.startswith(("data/", "models/"))}


@pytest.fixture(scope="module")
def place(smoke_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the whole graph has run from nothing."""
    target = tmp_path_factory.mktemp("graph") / "clone"
    shutil.copytree(smoke_made, target, symlinks=True)
    return target


@pytest.mark.slow
def test_the_graph_from_nothing_to_report_and_what_changes_rerun(place: Path) -> None:
    table = pl.read_csv(place / "reports" / "rounds.csv")
    assert table["round"].to_list() == ["M0", "M1"]
    assert {"policy", "method", "pass_at_1", "stepwise_error"} <= set(table.columns)
    assert (place / "reports" / "index.html").stat().st_size > 10_000
    manifest = json.loads((place / "data/datasets/M1/manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == pl.read_parquet(place / "data/datasets/M1/step_kto.parquet").height > 0

    assert ran(run(place, "dvc", "repro")) == []

    models = (place / "models/M1/model.safetensors").read_bytes()
    # A variant is one line; it shares the samples of its starting policy, and runs nothing of the first.
    edit(place, "rounds", "K1", {"policy": "M0", "train": {"method": "kto"}})
    variant = ran(run(place, "dvc", "repro"))
    assert variant
    assert all(name.endswith("@K1") or name in ("code", "params", "report") for name in variant), variant
    sampled = read_facts(place, "sample@K1")["usage"]["sample K1"]
    assert (sampled["completions"], sampled["from_journal"]) == (0, 128)
    assert pl.read_csv(place / "reports" / "rounds.csv")["round"].to_list() == ["M0", "M1", "K1"]

    arm_model = (place / "models/K1/model.safetensors").read_bytes()

    # One round's training setting reruns that training and what follows.
    edit(place, "rounds", "K1", {"policy": "M0", "train": {"method": "kto", "beta": 2.0}})
    changed = ran(run(place, "dvc", "repro"))
    assert changed == ["code", "params", "train@K1", "evaluate@K1", "report"], changed
    assert (place / "models/M1/model.safetensors").read_bytes() == models

    # Taking the change back takes the results back, and trains nothing.
    edit(place, "rounds", "K1", {"policy": "M0", "train": {"method": "kto"}})
    reverted = ran(run(place, "dvc", "repro"))
    assert reverted == ["code", "params", "report"], reverted
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


def test_the_log_says_what_ran_how_fast_and_at_which_loss(smoke_made: Path) -> None:
    folder = list_runs(smoke_made / "work" / "runs")[0]
    log = (folder / "log.txt").read_text(encoding="utf-8")
    lock = yaml.safe_load((smoke_made / "dvc.lock").read_text(encoding="utf-8"))
    assert [name for name in lock["stages"] if f": {name}: done in " not in log] == []
    assert "seed model: 188 of 188 steps (100%) in " in log
    assert re.search(r"train M1: (\d+) of \1 steps \(100%\) in .*; loss \d.*, z0 .*, grad norm \d.*, tokens/s \d", log)
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [step["step"] for step in steps if step["stage"] == "seed_model"] == [*range(1, 189)]
    trained = [step for step in steps if step["stage"] == "train@M1"]
    assert [step["step"] for step in trained] == [*range(1, len(trained) + 1)]
    assert {"loss/outcome", "loss/step", "kl", "kl/step", "grad_norm", "learning_rate", "tokens_per_second"} <= {
        name for step in trained for name in step
    }


def test_a_misspelt_key_is_named(place: Path) -> None:
    edit(place, "rounds", "M1", {"policy": "M0", "train": {"betta": 1.0}})
    done = subprocess.run(
        [sys.executable, "-m", "tools.cli", "params", "check"], cwd=place, text=True, capture_output=True, check=False
    )
    edit(place, "rounds", "M1", {"policy": "M0"})
    assert done.returncode == 1
    assert "rounds.M1.train.betta: unknown key; did you mean beta?" in done.stderr
