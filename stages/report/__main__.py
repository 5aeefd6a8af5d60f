"""``python -m stages.report``: summarise the recipe's rounds."""

from pathlib import Path

from stages.common.console import run_stage
from stages.common.logs import is_quiet
from stages.common.runs import join_run
from stages.report import write_report


def summarise(recipe: Path, stages: Path, out: Path) -> None:
    """Write the report, and print the table of rounds and where this run is recorded."""
    table = write_report(recipe, stages, out)
    if not is_quiet():
        print(f"{table}\nrun: {join_run()}", flush=True)


if __name__ == "__main__":
    run_stage(summarise)
