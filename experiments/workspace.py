"""A copy of the project in which a variant of the recipe runs without touching the user's tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from stages.common.engines.vllm_server import OWN_PYTHON
from stages.common.errors import UserError

PROJECT_FILES = ("stages", "plugins", "requirements.lock", "dvc.yaml", ".dvcignore")
"""What the graph needs to run."""


ON_A_CORE = {"OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""For chains side by side. Without the latter, vLLM's worker gets its own process, which the engine's polls."""


def make_workspace(folder: Path, recipe: dict[str, Any], cache: Path) -> None:
    """Copy the project into `folder` with `recipe` as its params.yaml; earlier results stay, so that a run resumes.

    What the recipe names by a path inside the project, and vLLM's own environment, are linked, so that a workspace's
    dvc.lock names no path of this machine. Results go to the DVC cache at `cache`, which workspaces share.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROJECT_FILES:
        source, target = Path(name), folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    for path in [*list_named_paths(recipe), OWN_PYTHON.parents[1]]:
        _link(path, folder / path)
    (folder / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    if not (folder / ".dvc").exists():
        _run_dvc(folder, "init", "--no-scm", "--quiet")
        _run_dvc(folder, "config", "core.analytics", "false", "--quiet")
        _run_dvc(folder, "cache", "dir", str(cache.resolve()), "--quiet")


def list_named_paths(recipe: dict[str, Any]) -> list[Path]:
    """What `recipe` reads beside the project's own files: a model, judged steps, benchmarks."""
    folder = recipe.get("seed_model", {}).get("folder")
    gate = recipe.get("judge", {}).get("gate")
    benchmarks = recipe.get("evaluate", {}).get("benchmarks", {}).values()
    paths = [folder["path"]] if folder else []
    paths += gate["files"] if gate else []
    paths += [benchmark["file"]["path"] for benchmark in benchmarks if "file" in benchmark]
    return [Path(path) for path in paths]


def _link(source: Path, target: Path) -> None:
    """Make `target` lead to `source` if that is inside the project and there."""
    if source.is_absolute() or not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def reproduce(folder: Path, log: Path, stages: tuple[str, ...] = ()) -> None:
    """Run the graph in `folder`, or what `stages` need of it; raise `UserError` naming the log when it fails."""
    with log.open("w", encoding="utf-8") as output:
        # Names of stages are this package's own.
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *stages],
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
    return {**os.environ, "PATH": path, **ON_A_CORE}
