"""A copy of the project in which a variant of the recipe runs without touching the user's tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from stages.common.errors import UserError

PROJECT_FILES = ("stages", "plugins", "requirements.lock", "dvc.yaml", ".dvcignore")
"""What the graph needs to run."""


def make_workspace(folder: Path, recipe: dict[str, Any], cache: Path) -> None:
    """Copy the project into `folder` with `recipe` as its params.yaml; earlier results stay, so that a run resumes.

    Results go to the DVC cache at `cache`, which workspaces share.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROJECT_FILES:
        source, target = Path(name), folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    (folder / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    if not (folder / ".dvc").exists():
        _run_dvc(folder, "init", "--no-scm", "--quiet")
        _run_dvc(folder, "config", "core.analytics", "false", "--quiet")
        _run_dvc(folder, "cache", "dir", str(cache.resolve()), "--quiet")


def reproduce(folder: Path, log: Path) -> None:
    """Run the graph in `folder`; raise `UserError` naming the log when it fails."""
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro"],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_make_environment(),
            check=False,
        )
    if done.returncode:
        raise UserError(f"{log}: the graph failed; the last lines say why")


def _run_dvc(folder: Path, *arguments: str) -> None:
    # Arguments are this module's own.
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, env=_make_environment())  # noqa: S603


def _make_environment() -> dict[str, str]:
    """This process's environment with its own Python first on PATH, since the graph's commands say `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
