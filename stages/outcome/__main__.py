"""``python -m stages.outcome``: check one round's final answers; with ``grade`` one pair."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stages.common.console import run, run_stage


def check(recipe: Path, problems: Path, samples: Path, out: Path, report: Path) -> None:
    """Check one round's final answers; with the word `grade`, one pair."""
    from stages.outcome.stage import check_round

    check_round(recipe, problems, samples, out, report)


def _grade(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.outcome grade", description="Grade one pair.")
    parser.add_argument("--gold", required=True)
    parser.add_argument("--answer", required=True, help="an answer, or a solution that ends in one")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    arguments = parser.parse_args(words)
    from stages.outcome.grade import grade

    verdict = grade(arguments.gold, arguments.answer, arguments.timeout)
    for name, value in zip(verdict._fields, verdict, strict=True):
        sys.stdout.write(f"{name:9} {value:.6f}\n" if isinstance(value, float) else f"{name:9} {value}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["grade"]:
        run(lambda: _grade(sys.argv[2:]))
    else:
        run_stage(check)
