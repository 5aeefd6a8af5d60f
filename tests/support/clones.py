"""Clones of this tree in which tests run the graph by the commands that a user runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from stages.common.runs import list_runs, read_records


def run(place: Path, *command: str) -> str:
    """Run a command in `place` and return its output; fails with the output shown."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=place, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def clone(target: Path, recipe: str) -> None:
    """The tracked and new files of this tree as a repository of their own, with `recipe` in force."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], text=True, capture_output=True, check=True
    )
    for name in listed.stdout.splitlines():
        if Path(name).is_file() and name != "dvc.lock":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(Path(name).read_bytes())
    (target / "params.yaml").write_bytes(Path("recipes", f"{recipe}.yaml").read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    commit(target, "clone")


def commit(place: Path, message: str) -> None:
    """Commit all that Git does not ignore."""
    for command in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message]):
        subprocess.run(["git", *command], cwd=place, check=True)


def edit(place: Path, *path_and_value: object) -> None:
    """Set one key of params.yaml; blocks that it leaves out are made."""
    *path, last, value = path_and_value
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    block = recipe
    for key in path:
        block = block.setdefault(key, {})
    block[last] = value
    (place / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


def read_record(place: Path, stage: str) -> dict[str, Any]:
    """The record of the last run of `place` that ran `stage`."""
    records = [record for folder in list_runs(place / "work" / "runs") for record in read_records(folder)]
    return next(record for record in reversed(records) if record["stage"] == stage)


def read_facts(place: Path, stage: str) -> dict[str, Any]:
    """The facts in it."""
    facts: dict[str, Any] = read_record(place, stage)["facts"]
    return facts
