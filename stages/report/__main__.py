"""``python -m stages.report``: summarise the recipe's rounds; with ``show``, only print the table again."""

from __future__ import annotations

import argparse
from pathlib import Path

from stages.common.console import run
from stages.report import show_report, write_report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.report", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["write", "show"], default="write")
    parser.add_argument("--recipe", type=Path, default=Path("params.yaml"))
    parser.add_argument("--stages", type=Path, default=Path("data/reports"))
    parser.add_argument("--out", type=Path, default=Path("reports"))
    arguments = parser.parse_args()
    if arguments.command == "show":
        print(show_report(arguments.recipe, arguments.out))
    else:
        print(write_report(arguments.recipe, arguments.stages, arguments.out))


if __name__ == "__main__":
    run(main)
