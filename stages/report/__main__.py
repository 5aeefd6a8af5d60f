"""``python -m stages.report``: summarise the recipe's rounds."""

from __future__ import annotations

from pathlib import Path

from stages.common.console import run_stage
from stages.report import write_report


def summarise(recipe: Path, stages: Path, out: Path) -> None:
    """Write the report and print the table of rounds."""
    print(write_report(recipe, stages, out))


if __name__ == "__main__":
    run_stage(summarise)
