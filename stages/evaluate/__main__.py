"""``python -m stages.evaluate``: measure one policy on problems held out.

``python -m stages.evaluate recorded FILE.jsonl`` measures solutions sampled elsewhere, without any model.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from stages.common.console import run
from stages.common.params.base import load
from stages.common.params.records import RecordsParams
from stages.common.policies import read_policy
from stages.common.provenance import environment
from stages.common.tables import (
    JUDGED,
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

TABLES = {"problems": PROBLEM, "samples": SAMPLE, "steps": STEP, "judged": JUDGED, "outcomes": OUTCOME}
"""Table by the last part of the folder that it is written to."""


def main() -> None:
    if sys.argv[1:2] == ["recorded"]:
        recorded(sys.argv[2:])
    else:
        evaluate()


def evaluate() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description=__doc__)
    for name in ("recipe", "problems", "policy", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    digits = load(RecordsParams, arguments.recipe, "records").shard_digits
    settings = load_settings(arguments.recipe)
    policy = read_policy(arguments.policy)
    if settings.evaluate.split is None and not settings.evaluate.benchmarks:
        with replace_dir(arguments.out):
            write_json(arguments.report, {"policy": policy.hash, "split": None, "metrics": {}})
        return
    problems = read_table(arguments.problems, PROBLEM, digits)
    evaluation = evaluate_policy(problems, policy, settings, f"evaluate {arguments.out.name}")
    with replace_dir(arguments.out) as folder:
        for place, table in evaluation.tables.items():
            write_table(folder / place, TABLES[Path(place).name], table, digits)
    seconds = round(time.monotonic() - started, 1)
    write_json(arguments.report, {**evaluation.report, "seconds": seconds, "environment": environment()})


if __name__ == "__main__":
    run(main)
