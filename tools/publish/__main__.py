"""``python -m tools.publish``: publish rounds, or a policy, as one commit and one tag on the Hub."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

from stages.common.console import run
from stages.common.errors import UserError
from tools.publish.commands import check_repo, publish
from tools.publish.private_data import ACCEPTABLE


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.publish",
        description=inspect.getdoc(publish),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--round", action="append", metavar="NAME", help="a round's labels (may be repeated)")
    subject.add_argument("--model", metavar="NAME", help="a policy: M0, or the round that trained it")
    parser.add_argument("--repo", required=True, type=_parse_repo, metavar="ORG/NAME")
    parser.add_argument("--private", action="store_true", help="make a new repository private; refuse a public one")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write the folder to DIR and send nothing")
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        choices=sorted(ACCEPTABLE),
        help="let matches of this kind pass, after a look at each (may be repeated)",
    )
    arguments = parser.parse_args()
    publish(
        arguments.repo, arguments.round or (), arguments.model, arguments.private, arguments.dry_run, arguments.accept
    )


def _parse_repo(text: str) -> str:
    try:
        return check_repo(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    run(main)
