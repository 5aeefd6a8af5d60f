"""``python -m stages.train``: train a policy on one round's data set."""

from __future__ import annotations

import sys
from pathlib import Path

from stages.common.console import run_stage
from stages.common.device import choose_device
from stages.common.params.block import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.train import TrainParams
from stages.train.launch import is_launched, relaunch
from stages.train.run import TrainingInputs, copy_policy, train


def train_policy(recipe: Path, dataset: Path, policy: Path, out: Path, report: Path) -> None:
    """Train a policy on one round's data set."""
    params = load(TrainParams, recipe, "train")
    if params.method == "none":
        copy_policy(policy, out, report)
        return
    runtime = load_runtime()
    if params.launch and not is_launched():
        relaunch(params.launch, sys.argv[1:], on_cpu=choose_device(runtime.device) == "cpu")
    inputs = TrainingInputs(dataset, policy, params, load_seed(recipe))
    train(inputs, runtime, out, report)


if __name__ == "__main__":
    run_stage(train_policy)
