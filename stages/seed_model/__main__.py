"""``python -m stages.seed_model``: make M0."""

from __future__ import annotations

import argparse
from pathlib import Path

from stages.common.console import run
from stages.common.params.base import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.seed_model import SeedModelParams
from stages.common.tables import write_json
from stages.seed_model.build import build_seed_model


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.seed_model", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    params = load(SeedModelParams, arguments.recipe, "seed_model")
    report = build_seed_model(params, load_seed(arguments.recipe), load_runtime(), arguments.out)
    write_json(arguments.report, report)


if __name__ == "__main__":
    run(main)
