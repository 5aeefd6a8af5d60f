"""``python -m stages.seed_model``: make M0."""

from __future__ import annotations

from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.seed_model import SeedModelParams
from stages.common.tables import write_json
from stages.seed_model.seed_policy import write_seed_policy


def make_seed_model(recipe: Path, out: Path, report: Path) -> None:
    """Make M0."""
    params = load(SeedModelParams, recipe, "seed_model")
    write_json(report, write_seed_policy(params, load_seed(recipe), load_runtime(), out))


if __name__ == "__main__":
    run_stage(make_seed_model)
