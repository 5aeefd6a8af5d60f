"""``python -m stages.problems``: make the table of problems."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from stages.common.console import run
from stages.common.params.base import load, load_seed
from stages.common.params.problems import ProblemsParams
from stages.common.params.records import RecordsParams
from stages.common.tables import replace_dir, write_json
from stages.problems.build import build_problems


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.problems", description=__doc__)
    for name in ("recipe", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    params = load(ProblemsParams, arguments.recipe, "problems")
    digits = load(RecordsParams, arguments.recipe, "records").shard_digits
    with replace_dir(arguments.out) as folder:
        report = build_problems(params, load_seed(arguments.recipe), digits, folder)
    write_json(arguments.report, {**report, "seconds": round(time.monotonic() - started, 1)})


if __name__ == "__main__":
    run(main)
