"""``python -m stages.train``: train a policy on one round's data set."""

import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

from stages.common.console import run_stage
from stages.common.device import choose_device, choose_dtype
from stages.common.params.block import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.train import TrainParams
from stages.common.policies import read_policy
from stages.common.tables import replace_dir, write_json
from stages.common.trained_models import REPORT, hand_out, hold_training, locate_training, reuse_training
from stages.common.training.silence import silence_libraries
from stages.train.launch import is_launched, relaunch
from stages.train.training_inputs import TrainingInputs


def train_policy(recipe: Path, dataset: Path, policy: Path, out: Path, report: Path) -> None:
    """Train a policy on one round's data set."""
    params = load(TrainParams, recipe, "train")
    if params.method == "none":
        copy_policy(policy, out, report)
        return
    if params.dtype == "auto":
        params = params.model_copy(update={"dtype": choose_dtype(choose_device(load_runtime().device))})
    inputs = TrainingInputs(dataset, policy, params, load_seed(recipe))
    entry = locate_training("train", inputs.made_from)
    if entry is None:
        run_training(inputs, out, report)
        return
    # Of several processes, each machine's first looks for a finished training before it starts them.
    with nullcontext() if params.launch else hold_training(entry):
        if not is_launched() and reuse_training(entry, out, report):
            return
        if run_training(inputs, entry / out.name, entry / REPORT):
            hand_out(entry, out, report)


def run_training(inputs: TrainingInputs, out: Path, report: Path) -> bool:
    """Train, in several processes if the params say so; whether this is the process that wrote `out` and `report`."""
    launch, runtime = inputs.params.launch, load_runtime()
    if launch and not is_launched():
        relaunch(launch, sys.argv[1:], on_cpu=choose_device(runtime.device) == "cpu")
    silence_libraries()
    # Only now: torch, transformers and TRL take seconds to import.
    from stages.train.run import train

    train(inputs, runtime, out, report)
    return os.environ.get("RANK", "0") == "0"


def copy_policy(policy: Path, out: Path, report: Path) -> None:
    """Make `out` a copy of `policy`, for rounds that train nothing, and write the JSON `report`."""
    policy_hash = read_policy(policy).hash
    with replace_dir(out) as folder:
        shutil.copytree(policy, folder, dirs_exist_ok=True)
    write_json(report, {"method": "none", "policy": policy_hash})


if __name__ == "__main__":
    run_stage(train_policy)
