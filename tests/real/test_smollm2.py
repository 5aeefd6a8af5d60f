"""The recipe for a real pretrained model at the smoke size of its header, and the tutorial, command by command."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.clones import clone, run

pytestmark = pytest.mark.slow

MODEL = Path("models/SmolLM2-135M-Instruct")
RECIPE = Path("recipes/smollm2-school.yaml")


def clone_with_model(target: Path) -> Path:
    """A clone of this tree in which `make setup` and `make smollm2` have been run."""
    if not (MODEL / "model.safetensors").is_file():
        pytest.skip(f"{MODEL}: not there; make smollm2")
    clone(target, RECIPE.stem)
    (target / ".venv").symlink_to(Path(".venv").resolve())
    (target / MODEL).symlink_to(MODEL.resolve())
    return target


def test_the_smoke_size_of_the_recipe_runs_to_a_verified_round(tmp_path: Path) -> None:
    header = [
        line.removeprefix("#").strip() for line in RECIPE.read_text(encoding="utf-8").splitlines() if line[:1] == "#"
    ]
    overrides = re.findall(r"--set (\S+|'[^']*')", " ".join(header))
    assert len(overrides) > 3, "the header has lost the command for the smoke size"
    place = clone_with_model(tmp_path / "clone")
    arguments = [part for override in overrides for part in ("--set", *shlex.split(override))]
    run(place, "stepkto", "repro", *arguments)
    metrics = json.loads((place / "reports/metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"M0", "M1"}
    labels = json.loads((place / "data/reports/judge/M1.json").read_text(encoding="utf-8"))["labels"]
    assert min(labels["correct"], labels["incorrect"]) > 0, "it makes mistakes, though none is planted"
    assert "BROKEN" not in run(place, "stepkto", "audit", "verify")


def test_the_tutorial_runs_as_it_stands(tmp_path: Path) -> None:
    text = Path("docs/tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.M | re.S)
    assert len(blocks) == 7
    place = clone_with_model(tmp_path / "clone")
    run(place, "git", "config", "user.name", "t")
    run(place, "git", "config", "user.email", "t@t")
    output = run(place, "bash", "-euc", "\n".join(blocks))
    assert (place / "models/M1/model.safetensors").is_file()
    assert (place / "work/look/README.md").is_file()
    assert "BROKEN" not in output
