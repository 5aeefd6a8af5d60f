"""``python -m stages.seed_model``: make M0."""

from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.seed_model import SeedModelParams
from stages.common.tables import write_json
from stages.common.trained_models import REPORT, hand_out, hold_training, locate_training, reuse_training
from stages.seed_model.seed_policy import write_seed_policy


def make_seed_model(recipe: Path, out: Path, report: Path) -> None:
    """Make M0."""
    params, seed = load(SeedModelParams, recipe, "seed_model"), load_seed(recipe)
    is_trained = params.kind == "toy_arithmetic"
    entry = locate_training("seed_model", [params.model_dump(mode="json"), seed]) if is_trained else None
    if entry is None:
        write_json(report, write_seed_policy(params, seed, load_runtime(), out))
        return
    with hold_training(entry):
        if not reuse_training(entry, out, report):
            write_json(entry / REPORT, write_seed_policy(params, seed, load_runtime(), entry / out.name))
            hand_out(entry, out, report)


if __name__ == "__main__":
    run_stage(make_seed_model)
