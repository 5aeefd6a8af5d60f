"""``python -m stages.dataset``: make one round's training rows."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from stages.common.console import run
from stages.common.params.base import load, load_seed, read_yaml, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.records import RecordsParams
from stages.common.params.sample import PromptParams
from stages.common.tables import replace_dir, write_json
from stages.dataset.build import build_dataset
from stages.dataset.labelled import Inputs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.dataset", description=__doc__)
    for name in ("recipe", "problems", "samples", "steps", "judged", "outcomes", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    recipe = arguments.recipe
    params = load(DatasetParams, recipe, "dataset")
    # The prompt alone of the sample block: the dataset does not change with how many samples are drawn, or by what.
    prompt = validate(PromptParams, read_yaml(recipe).get("sample", {}).get("prompt"), f"{recipe}: sample.prompt")
    digits = load(RecordsParams, recipe, "records").shard_digits
    inputs = Inputs(arguments.problems, arguments.samples, arguments.steps, arguments.judged, arguments.outcomes)
    with replace_dir(arguments.out) as folder:
        report = build_dataset(inputs, params, prompt, load_seed(recipe), digits, folder)
    write_json(arguments.report, {**report, "seconds": round(time.monotonic() - started, 1)})


if __name__ == "__main__":
    run(main)
