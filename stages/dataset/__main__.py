"""``python -m stages.dataset``: make one round's training rows."""

from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed, read_yaml, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.judge import load_scope
from stages.common.params.sample import PromptParams
from stages.common.params.tables import TablesParams
from stages.common.tables import replace_dir, write_json
from stages.dataset.round_tables import RoundTables
from stages.dataset.training_files import build_dataset


def build(
    recipe: Path,
    problems: Path,
    samples: Path,
    outcomes: Path,
    selections: Path,
    steps: Path,
    labels: Path,
    out: Path,
    report: Path,
) -> None:
    """Make one round's training rows."""
    params = load(DatasetParams, recipe, "dataset")
    # The prompt alone of the sample block: the dataset does not change with how many samples are drawn, or by what.
    prompt = validate(PromptParams, read_yaml(recipe).get("sample", {}).get("prompt"), f"{recipe}: sample.prompt")
    digits = load(TablesParams, recipe, "tables").shard_digits
    inputs = RoundTables(problems, samples, outcomes, selections, steps, labels, load_scope(recipe))
    with replace_dir(out) as folder:
        counts = build_dataset(inputs, params, prompt, load_seed(recipe), digits, folder)
    write_json(report, counts)


if __name__ == "__main__":
    run_stage(build)
