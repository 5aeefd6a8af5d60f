"""``python -m stages.train``: train a policy on one round's rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stages.common.console import run
from stages.common.params.base import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.train import TrainParams
from stages.train.launch import is_launched, start
from stages.train.run import Job, hand_on, train
from stages.train.setup import pick_device


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__)
    for name in ("recipe", "dataset", "policy", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    params = load(TrainParams, arguments.recipe, "train")
    if params.method == "none":
        hand_on(arguments.policy, arguments.out, arguments.report)
        return
    runtime = load_runtime()
    if params.launch and not is_launched():
        start(params.launch, sys.argv[1:], cpu=pick_device(runtime) == "cpu")
    job = Job(arguments.dataset, arguments.policy, params, load_seed(arguments.recipe))
    train(job, runtime, arguments.out, arguments.report)


if __name__ == "__main__":
    run(main)
