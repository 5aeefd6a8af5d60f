"""Publishing and sharing a whole project by the commands that a user runs: to the Hub, and to a DVC remote and back."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.support.clones import clone, commit, edit, ran, run
from tests.support.hub_server import Hub, serve

pytestmark = pytest.mark.slow

needs_audit = pytest.mark.skipif(
    importlib.util.find_spec("tools.audit") is None, reason="tools.audit, which publishing asks, is not in this tree"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the smallest round that there can be has run and is committed."""
    target = tmp_path_factory.mktemp("project")
    clone(target, "smoke")
    edit(target, "problems", "toy_arithmetic", {"train": 12, "validation": 1, "test": 4})
    edit(target, "seed_model", "toy_arithmetic", "corpus", "num_documents", 200)
    edit(target, "sample", "num_problems", 12)
    edit(target, "evaluate", "num_majority_samples", 2)
    edit(target, "train", "method", "none")
    edit(target, "rounds", {"M1": {"policy": "M0"}})
    run(target, "dvc", "repro")
    commit(target, "run")
    return target


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as hub:
        hub.tokens = {"token-of-a-test"}
        yield hub


def publish(place: Path, hub: Hub, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "token-of-a-test"}
    environment = {**os.environ, **settings}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "tools.cli", "publish", *arguments]
    return subprocess.run(command, cwd=place, env=environment, text=True, capture_output=True, check=False)


@needs_audit
def test_a_round_is_published_once(place: Path, hub: Hub, tmp_path: Path) -> None:
    done = publish(place, hub, tmp_path, "--round", "M1", "--repo", "org/sums", "--private")
    assert done.returncode == 0, done.stderr
    repository = hub.repository("org/sums")
    assert repository.private
    folder = place / "work/publish/org--sums"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {name: data for name, data in repository.head.files.items() if name != ".gitattributes"} == files
    manifest = json.loads(files["manifest.json"])
    assert repository.tags == {manifest["hash"]: repository.head.id}
    assert manifest["made_from"]["commit"] == run(place, "git", "rev-parse", "HEAD").strip()
    followed = run(
        place, sys.executable, "-m", "tools.cli", "audit", "row", str(folder / "data/M1/kto/00000.parquet"), "3"
    )
    assert json.loads((place / "models/M0/manifest.json").read_text(encoding="utf-8"))["hash"] in followed
    labels = pl.read_parquet(folder / "data/M1/labels/*.parquet").explode("steps").select("sample_id", pl.col("steps"))
    label_ids = [f"M1/{row['sample_id']}/{row['steps']['step']}" for row in labels.drop_nulls().iter_rows(named=True)]
    histories = run(place, sys.executable, "tools/provenance_reader.py", str(folder), *label_ids)
    assert histories.count("\n  label ") == len(label_ids) > 0
    state = hub.state()
    again = publish(place, hub, tmp_path, "--round", "M1", "--repo", "org/sums", "--private")
    assert "already published" in again.stdout
    assert hub.state() == state


@needs_audit
def test_a_dry_run_writes_the_folder_and_sends_nothing(place: Path, hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    arguments = ["--model", "M1", "--repo", "org/model", "--dry-run", str(out)]
    done = publish(place, hub, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "version" not in done.stdout, "a policy has none"
    assert hub.requests == []
    assert (out / "model.safetensors").read_bytes() == (place / "models/M1/model.safetensors").read_bytes()
    assert {"README.md", "manifest.json", "policy.json"} < {path.name for path in out.iterdir()}
    before = (out / "manifest.json").read_bytes()
    again = publish(place, hub, tmp_path, *arguments)
    assert "exists and is not empty" in again.stderr
    assert (out / "manifest.json").read_bytes() == before


@needs_audit
def test_labels_that_were_tampered_with_are_refused(place: Path, hub: Hub, tmp_path: Path) -> None:
    """A label flipped in the table and in DVC's lock, and committed: only the audit can tell."""
    tampered = tmp_path / "tampered"
    run(tmp_path, "git", "clone", "-q", str(place), str(tampered))
    run(tampered, "dvc", "cache", "dir", "--local", str(place / ".dvc/cache"))
    run(tampered, "dvc", "checkout")
    path = tampered / "data/labels/M1/all.parquet"
    flipped = pl.read_parquet(path).with_columns(label=~pl.col("label"))
    path.unlink()
    flipped.write_parquet(path)
    run(tampered, "dvc", "commit", "-f")
    commit(tampered, "tampered")
    done = publish(tampered, hub, tmp_path, "--round", "M1", "--repo", "org/sums")
    assert done.returncode == 1
    assert "error: the audit did not pass" in done.stderr
    assert hub.requests == []


@needs_audit
def test_a_round_goes_out_though_another_has_not_run(place: Path, hub: Hub, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "-q", str(place), str(other))
    run(other, "dvc", "cache", "dir", "--local", str(place / ".dvc/cache"))
    run(other, "dvc", "checkout")
    edit(other, "rounds", "M2", {"policy": "M1"})
    edit(other, "evaluate", "num_majority_samples", 3)
    assert ran(run(other, "dvc", "repro", "dataset@M1")) == ["code", "params"]
    commit(other, "one more round, another evaluation")
    out = tmp_path / "out"
    done = publish(other, hub, tmp_path, "--round", "M1", "--repo", "org/sums", "--dry-run", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("version 1.0.0, of a first publication: a dry run does not read")
    card = (out / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in card.partition("## Rounds")[2].partition("## ")[0].splitlines()]
    measured = {row[1].strip(): row[4].strip() for row in rows if len(row) > 4 and row[1].strip().startswith("M")}
    assert measured == dict.fromkeys(["M0", "M1", "M2"], "–"), "evaluations have not run with the params in force"
    done = publish(other, hub, tmp_path, "--round", "M2", "--repo", "org/sums")
    assert "dataset@M2: not run yet; run `stepkto repro dataset@M2`" in done.stderr


def test_a_dirty_tree_is_refused_in_a_line(place: Path, hub: Hub, tmp_path: Path) -> None:
    (place / "new.txt").write_text("new", encoding="utf-8")
    try:
        done = publish(place, hub, tmp_path, "--round", "M1", "--repo", "org/sums")
    finally:
        (place / "new.txt").unlink()
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: the working tree is not clean (?? new.txt)")
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--round", "M1", "--repo", "sums"], "expected ORG/NAME"),
        (["--round", "M1", "--model", "M1", "--repo", "org/sums"], "either --round or --model"),
        (["--repo", "org/sums"], "either --round or --model"),
        (["--round", "M1", "--repo", "org/sums", "--accept", "API key"], "API key: cannot be accepted"),
    ],
)
def test_wrong_arguments(place: Path, hub: Hub, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = publish(place, hub, tmp_path, *arguments)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.requests == []


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server with an empty bucket `step-data`; its address."""
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: pip install -e '.[dev]'")
    server_module = pytest.importorskip("moto.server", reason="moto is not installed: pip install -e '.[dev]'")
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="step-data")
        yield address
    finally:
        server.stop()


def borrow_environment(place: Path) -> None:
    """This test's Python as the project's `.venv`, so that make installs nothing."""
    (place / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (place / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (place / ".venv/.installed").touch()


def test_push_clone_pull_and_nothing_is_left_to_run(place: Path, s3: str, tmp_path: Path) -> None:
    run(place, "dvc", "remote", "add", "--default", "--force", "shared", "s3://step-data/project")
    run(place, "dvc", "remote", "modify", "shared", "endpointurl", s3)
    commit(place, "remote")
    run(place, "dvc", "push")

    elsewhere = tmp_path / "elsewhere"
    run(tmp_path, "git", "clone", "-q", str(place), str(elsewhere))
    assert not (elsewhere / "data/problems").exists()
    run(elsewhere, "dvc", "pull")
    lock = yaml.safe_load((elsewhere / "dvc.lock").read_text(encoding="utf-8"))
    outs = [out["path"] for stage in lock["stages"].values() for out in stage["outs"]]
    assert all((elsewhere / path).exists() for path in outs)
    borrow_environment(elsewhere)
    shown = run(elsewhere, "make", "repro")
    assert ran(shown) == []
    assert "Pass@1" in shown
    assert run(elsewhere, "git", "status", "--porcelain") == ""
    if importlib.util.find_spec("tools.audit") is not None:
        run(elsewhere, sys.executable, "-m", "tools.cli", "audit", "verify")
