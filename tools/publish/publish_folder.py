"""The folder to be published: data, card, Croissant metadata and manifest; the same tree gives the same bytes."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, read_yaml
from stages.common.params.recipe import SEED_POLICY, resolve
from stages.common.plugins import load_plugins
from stages.common.policies import MANIFEST as POLICY_MANIFEST
from stages.common.policies import read_policy
from stages.common.provenance import compute_sha256
from stages.common.tables import write_json
from stages.common.trained_models import link_or_copy
from stages.report.stage_reports import StageReports, read_stage_reports
from tools.dvc_lock import name_stage
from tools.publish.dataset_card import DatasetCard, PublishedConfig, locate_files
from tools.publish.exported_round import RECIPE, read_round
from tools.publish.formats import list_formats
from tools.publish.formats.human_label_rows import make_human_labels_format, read_published_labels
from tools.publish.model_card import render_model_card
from tools.publish.parquet_files import write_format
from tools.publish.preconditions import Commit, RefusedError
from tools.publish.release_changes import find_changes
from tools.publish.release_manifest import LOCK_COPY, RECIPE_COPY, ReleaseManifest, write_release_manifest

REPORT_FOLDER = Path("data/reports")
CARD = "README.md"
CROISSANT = "croissant.json"
POLICY = "policy.json"
"""The policy's own manifest under another name, since `manifest.json` is that of the publication."""


def write_dataset(
    rounds: list[str],
    repo: str,
    commit: Commit,
    folder: Path,
    root: Path = Path(),
    with_reasoning: bool = False,
    human_labels: Path | None = None,
    with_annotators: bool = False,
    previous: ReleaseManifest | None = None,
) -> ReleaseManifest:
    """Write `rounds` in every format into `folder`, one configuration each, for the Hub's `repo`.

    Judges' thinking is among them `with_reasoning` only, labels by people where the file `human_labels` is given; their
    annotators are named `with_annotators`, and numbered otherwise. The card says what changed since `previous`.

    Raises `UserError` naming what is missing or invalid.
    """
    load_plugins(root / RECIPE)
    sources = read_current_reports(root, commit)
    exported_rounds = {name: read_round(name, root) for name in dict.fromkeys(rounds)}
    labels = []
    if human_labels is not None:
        labels = read_published_labels(human_labels, with_annotators, list(exported_rounds.values()))
    formats = [*list_formats(with_reasoning), *([make_human_labels_format(labels)] if labels else [])]
    configs: list[PublishedConfig] = []
    hashes: dict[str, Any] = {}
    for name, exported in exported_rounds.items():
        for export_format in formats:
            num_rows = write_format(exported, export_format, folder / locate_files(name, export_format.name))
            configs.append(PublishedConfig(exported, export_format, num_rows))
        hashes[name] = {
            "dataset": exported.dataset.hash,
            "policy": read_policy(root / "models" / exported.policy).hash,
            "judge": exported.describe_judge(),
        }
    made_from = _copy_provenance(commit, root, folder)
    if human_labels is not None:
        made_from["human_labels"] = compute_sha256(human_labels)
    described = {config.name: config.describe() for config in configs if config.num_rows}
    changes = find_changes(previous, commit.id, described, hashes, root)
    card = DatasetCard(configs, folder, repo, sources, commit, labels, changes)
    write_json(folder / CROISSANT, card.build_croissant())
    (folder / CARD).write_text(card.render(), encoding="utf-8")
    facts = {"version": changes.version, "configs": described, "release_changes": asdict(changes)}
    return write_release_manifest(folder, hashes, made_from, **facts)


def write_model(name: str, repo: str, commit: Commit, folder: Path, root: Path = Path()) -> ReleaseManifest:
    """Write policy `name` (M0 or a round's) with its card into `folder`, for the Hub's `repo`.

    Raises `RefusedError` for a policy whose weights are on the Hub already or nowhere, and `UserError`
    naming what is missing or invalid.
    """
    load_plugins(root / RECIPE)
    sources = read_current_reports(root, commit)
    model = next((model for model in sources.policies if model.name == name), None)
    if model is None:
        known = ", ".join(model.name for model in sources.policies)
        raise ParamsError(f"{root / RECIPE}: no policy {name}; the recipe has {known}")
    policy = read_policy(root / "models" / name)
    if policy.repo is not None:
        raise RefusedError(f"{policy.folder}: is {policy.repo} at {policy.revision} on the Hub already")
    if not any(policy.folder.glob("*.safetensors")):
        raise RefusedError(f"{policy.folder}: has no weights (the policy of recorded completions has none)")
    for path in sorted(path for path in policy.folder.rglob("*") if path.is_file()):
        target = POLICY if path.name == POLICY_MANIFEST else path.relative_to(policy.folder).as_posix()
        if target != CARD:
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, folder / target)
    made_from = _copy_provenance(commit, root, folder)
    recipe = read_yaml(root / RECIPE)
    params = resolve(recipe, SEED_POLICY)["seed_model"] if name == SEED_POLICY else resolve(recipe, name)["train"]
    (folder / CARD).write_text(render_model_card(model, policy, params, repo, sources, commit), encoding="utf-8")
    return write_release_manifest(folder, {name: {"policy": policy.hash}}, made_from)


def read_current_reports(root: Path, commit: Commit) -> StageReports:
    """The stages' reports, without those of stages that have not run on what `commit` holds."""
    sources = read_stage_reports(root / RECIPE, root / REPORT_FOLDER)
    policies = []
    for policy in sources.policies:
        names = {stage: name_stage(stage, policy.name) for stage in policy.reports}
        current = {stage: it for stage, it in policy.reports.items() if names[stage] not in commit.outdated}
        policies.append(replace(policy, reports=current))
    return replace(sources, policies=policies)


def _copy_provenance(commit: Commit, root: Path, folder: Path) -> dict[str, Any]:
    """Copy recipe and lock into `folder`; return what identifies the tree."""
    for source, target in ((root / RECIPE, RECIPE_COPY), (root / "dvc.lock", LOCK_COPY)):
        if not source.is_file():
            raise UserError(f"{source}: missing; `dvc repro` writes it")
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
    return {
        "commit": commit.id,
        "repository": commit.repository,
        "recipe": compute_sha256(folder / RECIPE_COPY),
        "dvc_lock": compute_sha256(folder / LOCK_COPY),
    }
