"""``python -m tools.audit``: follow a label back to what made it, check all of them, show what changed."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from stages.common.console import run
from tools.audit.check_results import CHECKS
from tools.audit.lineage.label_diff import diff
from tools.audit.lineage.published_row import show_row
from tools.audit.lineage.show import show
from tools.audit.page.label_log import HUMAN_LABELS, describe_agreement
from tools.audit.page.problem_index import ALL, ProblemFilter
from tools.audit.verify import verify


def main() -> None:
    options = _parse_options()
    lines: list[str] = []
    if options.command == "show":
        lines = show(Path(), options.id, options.round, options.whole)
    elif options.command == "row":
        lines = show_row(Path(), options.file, options.number, options.round, options.whole)
    elif options.command == "diff":
        lines = diff(Path(), options.revision)
    elif options.command == "agreement":
        lines = describe_agreement(options.labels)
    elif options.command == "page":
        from tools.audit.page.page_html import write_page

        write_page(Path(), options.out, options.sample, ProblemFilter(options.round, kind=options.kind), options.seed)
        lines = [f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB"]
    elif options.command == "serve":
        from tools.audit.page.page_server import serve

        serve(Path(), options.annotator, options.labels, options.host, options.port)
    else:
        results = verify(Path(), options.round, options.only or CHECKS, options.workers)
        lines = results.format_lines()
    print("\n".join(lines))
    if options.command == "verify" and results.is_broken:
        sys.exit(1)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("show", help="what made a problem, sample, policy or dataset")
    command.add_argument("id", help="its id, or enough of its beginning")
    row = commands.add_parser("row", help="what made a row of a published file")
    row.add_argument("file", type=Path, help="a .parquet or .jsonl file with sample_id or problem_id")
    row.add_argument("number", type=int, help="row, counted from 0")
    for each in (command, row):
        each.add_argument("--round", metavar="NAME", help="this round, where several have the sample")
        each.add_argument("--whole", action="store_true", help="do not shorten texts")
    command = commands.add_parser("verify", help="recompute what can be recomputed, and compare all rows")
    command.add_argument("--round", action="append", metavar="NAME", help="only this round (may be repeated)")
    command.add_argument("--only", action="append", choices=list(CHECKS), help="only this check (may be repeated)")
    command.add_argument("--workers", type=int, default=_count_cores(), help="processes (all cores)")
    command = commands.add_parser("diff", help="which labels changed since a Git revision, and why")
    command.add_argument("revision")
    command = commands.add_parser("serve", help="a page to look at labels and to add human labels")
    command.add_argument("--host", default="127.0.0.1", help="another one lets others read all data")
    command.add_argument("--port", type=int, default=8765)
    command.add_argument("--annotator", default=getpass.getuser(), help="who labels (your login)")
    command.add_argument("--labels", type=Path, default=HUMAN_LABELS, help=f"file of human labels ({HUMAN_LABELS})")
    command = commands.add_parser("page", help="the same page as one file, to be shared")
    command.add_argument("--sample", type=int, default=200, metavar="N", help="number of problems (200)")
    command.add_argument("--round", default=ALL, metavar="NAME", help="only this round")
    command.add_argument("--kind", default=ALL, help="only problems with a sample of this kind, as the page names it")
    command.add_argument("--seed", type=int, default=0, help="decides which problems are drawn")
    command.add_argument("--out", type=Path, default=Path("work/labels.html"))
    command = commands.add_parser("agreement", help="how far judges agree with human labels")
    command.add_argument("labels", type=Path, nargs="?", default=HUMAN_LABELS)
    return parser.parse_args()


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    run(main)
