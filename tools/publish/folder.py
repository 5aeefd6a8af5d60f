"""The folder that goes out: data, card, Croissant metadata and manifest; an unchanged tree gives the same bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from stages.common.params.block import ParamsError, read_yaml
from stages.common.params.recipe import SEED_POLICY, resolve
from stages.common.policies import MANIFEST, read_policy
from stages.common.provenance import file_sha256
from stages.common.tables import write_json
from tools.publish.card import Config, dataset_card, dataset_metadata
from tools.publish.checks import Commit, RefusedError
from tools.publish.formats import FORMATS
from tools.publish.manifest import LOCK, SETTINGS, Publication, write_publication
from tools.publish.model_card import model_card
from tools.publish.parquet import write_parts
from tools.publish.rounds import RECIPE, Round, read_reports, read_round

CARD = "README.md"
CROISSANT = "croissant.json"
POLICY = "policy.json"
"""The policy's own manifest, under a name of its own: `manifest.json` is the publication's."""


def write_dataset(rounds: list[str], repo: str, commit: Commit, folder: Path, root: Path = Path()) -> Publication:
    """Write `rounds` in every format into `folder`, a configuration each, as they will lie in the Hub's `repo`.

    Raises `ParamsError`, `FileNotFoundError` or `ValueError` saying what is missing or unfit.
    """
    sources = read_reports(root)
    configs: list[Config] = []
    described: dict[str, Any] = {}
    for name in dict.fromkeys(rounds):
        of = read_round(name, root)
        configs += _write_round(of, folder)
        described[name] = {"dataset": of.source.hash, "policy": read_policy(root / "models" / of.policy).hash}
    made_from = _made_from(commit, root, folder)
    metadata = dataset_metadata(configs, folder, repo, sources, commit)
    write_json(folder / CROISSANT, metadata)
    (folder / CARD).write_text(dataset_card(configs, folder, repo, sources, commit), encoding="utf-8")
    return write_publication(folder, described, made_from)


def write_model(name: str, repo: str, commit: Commit, folder: Path, root: Path = Path()) -> Publication:
    """Write policy `name` (M0 or a round's) with its card into `folder`, as it will lie in the Hub's `repo`.

    Raises `RefusedError` for a policy whose weights lie on the Hub already or nowhere, and `ParamsError`,
    `FileNotFoundError` or `ValueError` saying what is missing or unfit.
    """
    sources = read_reports(root)
    model = next((model for model in sources.models if model.name == name), None)
    if model is None:
        known = ", ".join(model.name for model in sources.models)
        raise ParamsError(f"{root / RECIPE}: no policy {name}; the recipe has {known}")
    policy = read_policy(root / "models" / name)
    if policy.repo is not None:
        raise RefusedError(
            f"{policy.folder}: is {policy.repo} at {policy.revision} on the Hub; there is nothing to publish"
        )
    if not any(policy.folder.glob("*.safetensors")):
        raise RefusedError(f"{policy.folder}: holds no weights (solutions that were sampled elsewhere have none)")
    for path in sorted(path for path in policy.folder.rglob("*") if path.is_file()):
        target = POLICY if path.name == MANIFEST else path.relative_to(policy.folder).as_posix()
        if target != CARD:
            _take(path, folder / target)
    made_from = _made_from(commit, root, folder)
    recipe = read_yaml(root / RECIPE)
    settings = recipe["seed_model"] if name == SEED_POLICY else resolve(recipe, name)["train"]
    (folder / CARD).write_text(model_card(model, policy, settings, repo, sources, commit), encoding="utf-8")
    return write_publication(folder, {name: {"policy": policy.hash}}, made_from)


def _write_round(of: Round, folder: Path) -> list[Config]:
    """Write one round's rows; a format without rows is a configuration without files."""
    configs = []
    for form in FORMATS:
        place = f"data/{of.name}/{form.name}"
        configs.append(Config(of, form, place, write_parts(of, form, folder / place)))
    return configs


def _made_from(commit: Commit, root: Path, folder: Path) -> dict[str, Any]:
    """Copy recipe and lock into `folder`, and say what identifies the tree."""
    for source, target in ((root / RECIPE, SETTINGS), (root / "dvc.lock", LOCK)):
        if not source.is_file():
            raise FileNotFoundError(f"{source}: missing; `dvc repro` writes it")
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
    return {
        "commit": commit.id,
        "repository": commit.repository,
        "recipe": file_sha256(folder / SETTINGS),
        "dvc_lock": file_sha256(folder / LOCK),
    }


def _take(source: Path, target: Path) -> None:
    """Make `target` the file at `source`, by a link where the disk allows one: weights are large and never edited."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
