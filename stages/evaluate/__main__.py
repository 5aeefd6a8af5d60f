"""``python -m stages.evaluate``: measure one policy on problems held out.

``python -m stages.evaluate recorded FILE.jsonl`` measures solutions sampled elsewhere, without any model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from stages.common.console import run, run_stage
from stages.common.params.block import load
from stages.common.params.tables import TablesParams
from stages.common.policies import read_policy
from stages.common.provenance import describe_environment
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    SAMPLE,
    STEP,
    read_table,
    replace_dir,
    write_json,
    write_table,
)
from stages.evaluate.evaluate import evaluate_policy
from stages.evaluate.recorded import recorded
from stages.evaluate.settings import load_settings

TABLES = {"problems": PROBLEM, "samples": SAMPLE, "steps": STEP, "labels": LABEL, "outcomes": OUTCOME}
"""Table by the last part of the folder that it is written to."""


def evaluate(recipe: Path, problems: Path, policy: Path, out: Path, report: Path) -> None:
    """Evaluate one policy."""
    started = time.monotonic()
    digits = load(TablesParams, recipe, "tables").shard_digits
    settings = load_settings(recipe)
    source = read_policy(policy)
    if settings.evaluate.split is None and not settings.evaluate.benchmarks:
        with replace_dir(out):
            write_json(report, {"policy": source.hash, "split": None, "metrics": {}})
        return
    table = read_table(problems, PROBLEM, digits)
    evaluation = evaluate_policy(table, source, settings, f"evaluate {out.name}")
    with replace_dir(out) as folder:
        for place, table in evaluation.tables.items():
            write_table(folder / place, TABLES[Path(place).name], table, digits)
    seconds = round(time.monotonic() - started, 1)
    write_json(report, {**evaluation.report, "seconds": seconds, "environment": describe_environment()})


if __name__ == "__main__":
    if sys.argv[1:2] == ["recorded"]:
        run(lambda: recorded(sys.argv[2:]))
    else:
        run_stage(evaluate)
