"""``python -m stages.evaluate``: evaluate one policy on held-out problems."""

from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load
from stages.common.params.tables import TablesParams
from stages.common.policies import read_policy
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    REPLY,
    SAMPLE,
    STEP,
    read_table,
    replace_dir,
    write_json,
    write_table,
)
from stages.evaluate.evaluation import evaluate_policy
from stages.evaluate.evaluation_params import load_params

TABLES = {
    "problems": PROBLEM,
    "samples": SAMPLE,
    "steps": STEP,
    "labels": LABEL,
    "replies": REPLY,
    "outcomes": OUTCOME,
}
"""Table by the last part of the folder that it is written to."""


def evaluate(recipe: Path, problems: Path, policy: Path, out: Path, report: Path) -> None:
    """Evaluate one policy."""
    digits = load(TablesParams, recipe, "tables").shard_digits
    params = load_params(recipe)
    source = read_policy(policy)
    if params.evaluate.split is None and not params.evaluate.benchmarks:
        with replace_dir(out):
            write_json(report, {"policy": source.hash, "split": None, "metrics": {}})
        return
    evaluation = evaluate_policy(read_table(problems, PROBLEM, digits), source, params, f"evaluate {out.name}")
    with replace_dir(out) as folder:
        for name, table in evaluation.tables.items():
            write_table(folder / name, TABLES[Path(name).name], table, digits)
    write_json(report, evaluation.report)


if __name__ == "__main__":
    run_stage(evaluate)
