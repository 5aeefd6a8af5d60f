"""``python -m stages.outcome``: check one round's final answers; with ``grade`` one pair, with ``bench`` the grader."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stages.console import run


def main() -> None:
    commands = {"grade": _grade, "bench": _bench}
    if len(sys.argv) > 1 and sys.argv[1] in commands:
        commands[sys.argv[1]](sys.argv[2:])
    else:
        _stage(sys.argv[1:])


def _stage(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.outcome", description=__doc__, epilog="Also: grade --help, bench --help."
    )
    for name in ("recipe", "problems", "samples", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    from stages.outcome.stage import check_round

    check_round(*vars(parser.parse_args(words)).values())


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


def _bench(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.outcome bench", description="Throughput and agreement, beside plain math-verify."
    )
    parser.add_argument("pairs", type=Path, help="JSON lines: gold and answer, or answer and solutions")
    parser.add_argument("--solutions", type=int, default=80_000, help="the pairs are repeated up to so many")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    arguments = parser.parse_args(words)
    from stages.outcome.bench import bench

    bench(arguments.pairs, arguments.solutions, arguments.workers, arguments.timeout)


if __name__ == "__main__":
    run(main)
