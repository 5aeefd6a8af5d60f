"""``python -m stages.audit verify``: check every row, hash and link of the data at hand."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from stages.audit.findings import CHECKS
from stages.audit.verify import verify
from stages.console import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="make again what can be made again, and compare all rows")
    verifying.add_argument("--round", action="append", metavar="NAME", help="only this round (may be repeated)")
    verifying.add_argument("--only", action="append", choices=list(CHECKS), help="only this check (may be repeated)")
    verifying.add_argument("--workers", type=int, default=_cores(), help="processes (default: one per core)")
    arguments = parser.parse_args()
    checks = frozenset(arguments.only or CHECKS)
    findings = verify(Path(), arguments.round, checks, arguments.workers)
    print("\n".join(findings.lines()))
    if findings.broken:
        sys.exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    run(main)
