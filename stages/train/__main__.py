"""``python -m stages.train``: train a policy on one round's rows."""

from __future__ import annotations

import argparse
from pathlib import Path

from stages.console import run
from stages.params.base import load, load_seed
from stages.params.runtime import load_runtime
from stages.params.train import TrainParams
from stages.train.run import Job, hand_on, train


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__)
    for name in ("recipe", "dataset", "policy", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    params = load(TrainParams, arguments.recipe, "train")
    if params.method == "none":
        hand_on(arguments.policy, arguments.out, arguments.report)
        return
    job = Job(arguments.dataset, arguments.policy, params, load_seed(arguments.recipe))
    train(job, load_runtime(), arguments.out, arguments.report)


if __name__ == "__main__":
    run(main)
