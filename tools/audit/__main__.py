"""``python -m tools.audit``: follow a label back to what made it, check all of them, say what changed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from stages.common.console import run
from tools.audit.check_results import CHECKS
from tools.audit.lineage.label_diff import diff
from tools.audit.lineage.published_row import show_row
from tools.audit.lineage.show import show
from tools.audit.page.page_commands import add_page_commands, run_page_command
from tools.audit.verify import verify


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    showing = commands.add_parser("show", help="what made a problem, sample, policy or data set")
    showing.add_argument("id", help="its id, or as much of its beginning as no other has")
    rowing = commands.add_parser("row", help="what made a row of a published file")
    rowing.add_argument("file", type=Path, help="a .parquet or .jsonl file with sample_id or problem_id")
    rowing.add_argument("number", type=int, help="row, counted from 0")
    for command in (showing, rowing):
        command.add_argument("--round", metavar="NAME", help="where several rounds have the sample, this one")
        command.add_argument("--whole", action="store_true", help="texts unshortened")
    verifying = commands.add_parser("verify", help="make again what can be made again, and compare all rows")
    verifying.add_argument("--round", action="append", metavar="NAME", help="only this round (may be repeated)")
    verifying.add_argument("--only", action="append", choices=list(CHECKS), help="only this check (may be repeated)")
    verifying.add_argument("--workers", type=int, default=_cores(), help="processes (default: one per core)")
    differing = commands.add_parser("diff", help="which labels changed since a Git revision, and why")
    differing.add_argument("revision")
    add_page_commands(commands)
    arguments = parser.parse_args()
    if arguments.command == "show":
        print("\n".join(show(Path(), arguments.id, arguments.round, arguments.whole)))
    elif arguments.command == "row":
        print("\n".join(show_row(Path(), arguments.file, arguments.number, arguments.round, arguments.whole)))
    elif arguments.command == "diff":
        print("\n".join(diff(Path(), arguments.revision)))
    elif arguments.command == "verify":
        _verify(arguments)
    else:
        run_page_command(Path(), arguments)


def _verify(arguments: argparse.Namespace) -> None:
    results = verify(Path(), arguments.round, arguments.only or CHECKS, arguments.workers)
    print("\n".join(results.format_lines()))
    if results.is_broken:
        sys.exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    run(main)
