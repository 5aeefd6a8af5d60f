"""``python -m stages.seed_model``: make M0."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed, read_yaml, validate
from stages.common.params.problems import SchoolProblemsParams
from stages.common.params.runtime import load_runtime
from stages.common.params.sample import PromptParams
from stages.common.params.seed_model import SeedModelParams
from stages.common.policies import read_policy
from stages.common.tables import write_json
from stages.common.trained_models import REPORT, hand_out, hold_training, locate_training, reuse_training
from stages.seed_model.seed_policy import write_existing_model, write_seed_policy
from stages.seed_model.supervised_pass import SupervisedInputs, run_supervised_pass

MakePolicy = Callable[[Path], dict[str, Any]]
"""Writes a policy into a folder and returns its report."""


def make_seed_model(recipe: Path, out: Path, report: Path) -> None:
    """Make M0."""
    params, seed = load(SeedModelParams, recipe, "seed_model"), load_seed(recipe)
    if params.kind == "sft":
        _make_by_supervised_pass(params, seed, recipe, out, report)
    elif params.kind == "toy_arithmetic":
        determined_by = [params.model_dump(mode="json"), seed]
        _train_once(determined_by, lambda folder: write_seed_policy(params, seed, load_runtime(), folder), out, report)
    else:
        write_json(report, write_seed_policy(params, seed, load_runtime(), out))


def _make_by_supervised_pass(params: SeedModelParams, seed: int, recipe: Path, out: Path, report: Path) -> None:
    values = read_yaml(recipe)
    # Two keys of other blocks: M0 is trained with the prompt and the factors of the rounds, and on no other change.
    prompt = validate(PromptParams, values.get("sample", {}).get("prompt", {}), f"{recipe}: sample.prompt")
    school = values.get("problems", {}).get("school") or {}
    problems = validate(SchoolProblemsParams, school, f"{recipe}: problems.school")
    Path("work").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="work") as folder:
        base = Path(folder) / "base"
        base.mkdir()
        write_existing_model(params, base)
        inputs = SupervisedInputs(params.sft, prompt, problems, seed, read_policy(base).hash)
        _train_once(
            inputs.made_from, lambda folder: run_supervised_pass(inputs, base, load_runtime(), folder), out, report
        )


def _train_once(determined_by: Any, make_policy: MakePolicy, out: Path, report: Path) -> None:
    """Make `out` and `report`, from a finished training that was determined by the same if there is one."""
    entry = locate_training("seed_model", determined_by)
    if entry is None:
        write_json(report, make_policy(out))
        return
    with hold_training(entry):
        if not reuse_training(entry, out, report):
            write_json(entry / REPORT, make_policy(entry / out.name))
            hand_out(entry, out, report)


if __name__ == "__main__":
    run_stage(make_seed_model)
