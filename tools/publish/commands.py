"""The command `publish`: from a clean tree to a commit and a tag on the Hub."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from stages.common.errors import UserError
from stages.common.params.recipe import SEED_POLICY
from stages.common.tables import replace_dir
from tools.dvc_lock import name_stage
from tools.publish.hub_upload import HubTarget, read_published, upload
from tools.publish.preconditions import RefusedError, require_publishable
from tools.publish.private_data import require_acceptable, require_nothing_private
from tools.publish.publish_folder import write_dataset, write_model
from tools.publish.release_changes import FIRST_VERSION

WORK = Path("work/publish")
"""Where the folders to be published are written, below the repository's root: ignored by Git and DVC."""


def publish(
    repo: str,
    rounds: Sequence[str] = (),
    model: str | None = None,
    private: bool = False,
    dry_run: Path | None = None,
    accept: Collection[str] = (),
    with_reasoning: bool = False,
    human_labels: Path | None = None,
    with_annotators: bool = False,
) -> None:
    """Publish `rounds` as a data set, or policy `model`, in the Hub's repository `repo` (ORG/NAME).

    Refused unless the tree is clean, and all that is published and was used to make it is up to date and passes its
    audit. `private` makes a new repository private and refuses a public one; `dry_run` is a folder to write to instead
    of an upload; `accept` names kinds of private data to let through; `with_reasoning` publishes the judges' thinking,
    too, and `human_labels` a file of labels by people, numbered unless `with_annotators`. The token comes from HF_TOKEN
    or from `hf auth login`; HF_ENDPOINT names another Hub.
    """
    if bool(rounds) == (model is not None):
        raise UserError("publish: expected rounds or a model, found both or neither; name one of the two")
    require_acceptable(accept)
    target = HubTarget(check_repo(repo), "model" if model else "dataset", private)
    folder = dry_run or WORK / repo.replace("/", "--")
    if dry_run and folder.exists() and any(folder.iterdir()):
        raise RefusedError(f"{folder} exists and is not empty; name a new folder")
    if model is None:
        targets = [f"dataset@{name}" for name in rounds]
    else:
        targets = [name_stage("seed_model" if model == SEED_POLICY else "train", model)]
    commit = require_publishable(targets)
    with replace_dir(folder) as temporary:
        if model is not None:
            manifest = write_model(model, repo, commit, temporary)
        else:
            manifest = write_dataset(
                list(rounds),
                repo,
                commit,
                temporary,
                with_reasoning=with_reasoning,
                human_labels=human_labels,
                with_annotators=with_annotators,
                previous=None if dry_run else read_published(target),
            )
        num_files = require_nothing_private(temporary, accept)
    print(f"{folder}: {num_files} files, hash {manifest.hash}")
    if dry_run:
        if model is None:
            print(f"version {FIRST_VERSION}, of a first publication: a dry run does not read the version on the Hub")
        return
    result = upload(folder, target, f"Publish {', '.join(manifest.rounds)} of {commit.id[:12]}")
    state = "published" if result.is_new else "already published"
    print(f"{repo}: {state}, commit {result.commit}, tag {result.tag}")


def check_repo(repo: str) -> str:
    """`repo` itself; raise `UserError` where it is no ORG/NAME."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", repo, re.ASCII):
        raise UserError(f"repo: expected ORG/NAME, found {repo!r}")
    return repo
