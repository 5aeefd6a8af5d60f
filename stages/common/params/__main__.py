"""``python -m stages.common.params check [FILE]`` and ``python -m stages.common.params resolve ROUND OUT``."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from stages.common.console import run
from stages.common.params.base import read_yaml
from stages.common.params.recipe import check, order_rounds, resolve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.common.params", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="validate a recipe")
    checking.add_argument("recipe", type=Path, nargs="?", default=Path("params.yaml"))
    resolving = commands.add_parser("resolve", help="write one round's settings after its overrides")
    resolving.add_argument("round")
    resolving.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "check":
        recipe = check(arguments.recipe)
        print(f"{arguments.recipe}: valid; rounds {', '.join(order_rounds(recipe.rounds))}")
        return
    source = Path("params.yaml")
    check(source)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        yaml.safe_dump(resolve(read_yaml(source), arguments.round), sort_keys=True), encoding="utf-8"
    )


if __name__ == "__main__":
    run(main)
