"""``python -m tools.publish``: put rounds, or a policy, on the Hub as one commit and one tag.

Refused unless the tree is clean, `dvc status` is clean, and `python -m tools.audit verify` passes. The token comes
from HF_TOKEN or from `hf auth login`; HF_ENDPOINT names another Hub.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from stages.common.console import run
from stages.common.tables import replace_dir
from tools.publish.checks import Commit, RefusedError, require_publishable
from tools.publish.folder import write_dataset, write_model
from tools.publish.hub import Target, upload
from tools.publish.manifest import Publication
from tools.publish.scan import ACCEPTABLE, require_nothing_private

ROOT = Path("work/publish")
"""Where the folders that go out are written, below the repository's root: ignored by Git and DVC."""


def main() -> None:
    arguments = _parser().parse_args()
    folder: Path = arguments.dry_run or ROOT / arguments.repo.replace("/", "--")
    if arguments.dry_run and folder.exists() and any(folder.iterdir()):
        raise RefusedError(f"{folder}: is there and not empty; name a new folder")
    commit = require_publishable()
    with replace_dir(folder) as place:
        publication = _write(arguments, commit, place)
        files = require_nothing_private(place, arguments.accept)
    print(f"{folder}: {files} files, publication {publication.hash}")
    if arguments.dry_run:
        return
    target = Target(arguments.repo, "model" if arguments.model else "dataset", arguments.private)
    result = upload(folder, target, f"Publish {', '.join(publication.rounds)} of {commit.id[:12]}")
    state = "published" if result.changed else "already there"
    print(f"{target.repo}: {state}, commit {result.commit}, tag {result.tag}")


def _write(arguments: argparse.Namespace, commit: Commit, place: Path) -> Publication:
    if arguments.model:
        return write_model(arguments.model, arguments.repo, commit, place)
    return write_dataset(arguments.round, arguments.repo, commit, place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--round", action="append", metavar="NAME", help="a round's labels (may be repeated)")
    what.add_argument("--model", metavar="NAME", help="a policy: M0, or the round that made it")
    parser.add_argument("--repo", required=True, type=_repo, metavar="ORG/NAME")
    parser.add_argument("--private", action="store_true", help="make a new repository private; refuse a public one")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write the folder to DIR and send nothing")
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        choices=sorted(ACCEPTABLE),
        help="let findings of this kind pass, after a look at each (may be repeated)",
    )
    return parser


def _repo(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected ORG/NAME, found {text!r}")
    return text


if __name__ == "__main__":
    run(main)
