"""``python -m stages.train``: train a policy on one round's rows."""

from __future__ import annotations

import sys
from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.train import TrainParams
from stages.train.launch import is_launched, start
from stages.train.run import Job, hand_on, train
from stages.train.setup import pick_device


def train_policy(recipe: Path, dataset: Path, policy: Path, out: Path, report: Path) -> None:
    """Train a policy on one round's rows."""
    params = load(TrainParams, recipe, "train")
    if params.method == "none":
        hand_on(policy, out, report)
        return
    runtime = load_runtime()
    if params.launch and not is_launched():
        start(params.launch, sys.argv[1:], cpu=pick_device(runtime) == "cpu")
    job = Job(dataset, policy, params, load_seed(recipe))
    train(job, runtime, out, report)


if __name__ == "__main__":
    run_stage(train_policy)
