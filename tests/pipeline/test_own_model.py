"""The README's lines for one's own model and problems, word by word, with a small local Llama on vLLM's CPU build."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.clones import clone
from tests.support.small_llama import write_answering_llama

pytestmark = pytest.mark.slow

VLLM = Path(".venv-vllm/bin/python")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not VLLM.exists():
        pytest.skip(f"{VLLM}: not there; make vllm")
    target = tmp_path_factory.mktemp("own") / "clone"
    clone(target, "smoke")
    (target / ".venv-vllm").symlink_to(Path(".venv-vllm").resolve())
    write_own_recipe(target, write_answering_llama(target.parent / "my-model"))
    # No environment is activated: the command finds its own Python, and the engines find vLLM's.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [sys.executable, "-m", "tools.cli", "repro"],
        cwd=target,
        env={**environment, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return target


def write_own_recipe(place: Path, model: Path) -> None:
    """The README's params.yaml with `model` as it says for a local one, and problems.jsonl as it says."""
    (text,) = re.findall(r"```yaml\n(problems:.*?)```", Path("README.md").read_text(encoding="utf-8"), flags=re.S)
    recipe = yaml.safe_load(text)
    recipe["seed_model"] = {"kind": "folder", "folder": {"path": str(model)}}
    (place / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    with (place / "problems.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(100, 160):
            solution = f"{number} - {number - number % 2} = \\boxed{{{number % 2}}}"
            row = {"problem": f"Find the remainder when {number} is divided by 2.", "solution": solution}
            lines.write(json.dumps(row) + "\n")


def test_the_recipe_runs_from_problems_to_a_report(place: Path) -> None:
    manifest = json.loads((place / "models/M0/manifest.json").read_text(encoding="utf-8"))
    assert manifest["made_from"] == {"kind": "folder"}
    metrics = json.loads((place / "reports/metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"M0", "M1"}
    assert (place / "models/M1/model.safetensors").is_file()
    assert (place / "reports/index.html").is_file()
    samples = json.loads((place / "data/reports/sample/M1.json").read_text(encoding="utf-8"))
    assert samples["engine"] == "vllm"
    assert samples["samples"] > 200
    assert "my-model" not in "".join(path.read_text() for path in (place / "work/journal").rglob("*.jsonl"))
