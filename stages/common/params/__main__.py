"""``python -m stages.common.params check|show|resolve``: validate a recipe, print what is in force, or write it."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from stages.common.console import run
from stages.common.params.block import read_yaml
from stages.common.params.params_listing import show_params
from stages.common.params.recipe import SEED_POLICY, check_recipe, order_rounds, read_recipe, resolve
from stages.common.tables import replace_dir


def resolve_all(source: Path, out: Path) -> None:
    """Write the params in force of every round, and of what belongs to none, into the folder `out`, a file each."""
    params = read_yaml(source)
    recipe = check_recipe(params, source)
    with replace_dir(out) as folder:
        for name in (SEED_POLICY, *recipe.rounds):
            text = yaml.safe_dump(resolve(params, name), sort_keys=True, allow_unicode=True)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.common.params", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("check", "validate a recipe"),
        ("show", "print every key in force with its description"),
        ("resolve", "write the params in force of every round, defaults and overrides included"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("recipe", type=Path, nargs="?", default=Path("params.yaml"))
        if name == "show":
            command.add_argument("round", nargs="?", default=SEED_POLICY, help="a round, after its overrides")
        if name == "resolve":
            command.add_argument("--out", type=Path, required=True, help="folder to write, one YAML file per round")
    arguments = parser.parse_args()
    if arguments.command == "check":
        recipe = read_recipe(arguments.recipe)
        print(f"{arguments.recipe}: valid; rounds {', '.join(order_rounds(recipe.rounds))}")
    elif arguments.command == "show":
        print(show_params(arguments.recipe, arguments.round), end="")
    else:
        resolve_all(arguments.recipe, arguments.out)


if __name__ == "__main__":
    run(main)
