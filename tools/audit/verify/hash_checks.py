"""Hashes in dvc.lock and in manifests, against the bytes on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.code import list_changed_code
from stages.common.params.file_hashes import FileHasher
from stages.common.policies import MANIFEST
from stages.common.provenance import hash_folder
from tools.audit.check_results import CheckResults
from tools.audit.table_sets import TableSet, read_json
from tools.dvc_files import hash_file, hash_files, hash_listing, read_cached_listing
from tools.dvc_lock import LOCK
from tools.git import list_changed_since, list_changed_since_commit_of

CODE_FOLDER = Path("reports/code")
"""Where stage code lists what each stage's bytes depend on."""

HashOfFiles = Callable[[dict[str, str]], str]
"""Makes one hash of the sha256 of files by their names."""


def check_hash(
    results: CheckResults, check: str, root: Path, cache: Path | None, path: str, md5: str, stages: str
) -> None:
    """Compare the file or folder at `path` with `md5` of dvc.lock, where `stages` name it.

    For a folder, the files that differ are named where the DVC cache lists what was in it. DVC caches no code and no
    reports: of these, what Git or the listing of code knows is named.
    """
    results.count(check, 1)
    if not (root / path).exists():
        results.add_error(check, path, f"missing; dvc.lock names it ({stages}, md5 {md5}), run `dvc pull`")
        return
    if not (root / path).is_dir():
        actual = hash_file(root / path)
        if actual != md5:
            results.add_error(check, path, f"has md5 {actual}; dvc.lock says {md5} ({stages})")
        return
    files = hash_files(root / path)
    actual = hash_listing(files)
    if actual == md5:
        return
    recorded = read_cached_listing(cache, md5)
    if recorded is not None:
        for name in sorted({*files, *recorded}):
            if files.get(name) != recorded.get(name):
                now, then = files.get(name, "nothing"), recorded.get(name, "nothing")
                what = f"has md5 {now}; dvc.lock says {then} ({stages}, folder {md5})"
                results.add_error(check, f"{path}/{name}", what)
        return
    changed = _describe_changed(root, path, is_code=check == "code")
    results.add_error(check, path, f"has md5 {actual}; dvc.lock says {md5} ({stages}){changed}")


def _describe_changed(root: Path, folder: str, is_code: bool) -> str:
    """Which files of `folder` changed since the run, as the end of a line; empty where nothing can tell.

    Git can if dvc.lock was committed. If not, the listing that the run made of its code can, but for comments and
    modules that no stage's bytes depend on; for these only the last commit is left to compare with.
    """
    if changed := list_changed_since_commit_of(root, LOCK, folder):
        return f"; changed since dvc.lock was committed: {', '.join(changed)}"
    if not is_code:
        return ""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in (root / CODE_FOLDER).glob("*.txt")]
    if changed := [path for path in list_changed_code(texts, root) if path.startswith(f"{folder}/")]:
        return f"; not as {CODE_FOLDER} lists: {', '.join(changed)}"
    changed = list_changed_since(root, "HEAD", folder)
    return f"; changed since the last commit: {', '.join(changed)}" if changed else ""


def check_given_file(results: CheckResults, root: Path, path: str, digest: str | None, stage: str) -> None:
    """Compare a local file or folder that a recipe names with the hash that `stage` ran with; one may be elsewhere."""
    actual = FileHasher(root, reads_all=True).hash(path)
    if actual is None:
        results.note_not_recomputed("code", "files named by the recipe that are not here", 1)
        return
    results.count("code", 1)
    if actual != digest:
        results.add_error("code", path, f"has hash {actual}; dvc.lock says {digest} ({stage})")


def check_manifest(results: CheckResults, root: Path, folder: Path, hash_of_files: HashOfFiles) -> None:
    """Compare ``manifest.json`` in `folder` (relative to `root`) with the files there, and its hash with its list."""
    path = folder / MANIFEST
    results.count("manifests", 1)
    try:
        manifest: dict[str, Any] = json.loads((root / path).read_text(encoding="utf-8"))
        listed = {str(name): str(sha256) for name, sha256 in manifest["files"].items()}
        stated = str(manifest["hash"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        results.add_error("manifests", str(path), f"not a manifest ({error!r})")
        return
    if hash_of_files(listed) != stated:
        results.add_error("manifests", str(path), f"hash {stated} does not belong to the files listed")
    if manifest.get("repo"):
        return  # the files lie on the Hub
    actual = hash_folder(root / folder, exclude=(MANIFEST,))
    for name in sorted({*listed, *actual}):
        if listed.get(name) != actual.get(name):
            now, then = actual.get(name, "nothing"), listed.get(name, "nothing")
            results.add_error("manifests", str(folder / name), f"has sha256 {now}; {path} says {then}")


def check_policy_sources(results: CheckResults, root: Path, tables: TableSet, method: str) -> None:
    """A round's policy must say that it was made from the round's dataset and from the policy before it.

    With `method` none it must be a copy of the latter.
    """
    if tables.selection is None:
        return
    path = Path("models", tables.name, MANIFEST)
    if not (policy := read_json(root / path)):
        return  # `check_manifest` reports it
    if method == "none":
        if policy != read_json(root / tables.policy / MANIFEST):
            results.add_error("manifests", str(path), f"is not that of {tables.policy}, though train.method is none")
        return
    made_from = policy.get("made_from")
    if not isinstance(made_from, dict) or made_from.get("kind") != "train":
        results.add_error("manifests", str(path), f"is made from {made_from}, though train.method is {method}")
        return
    for key, folder in {"dataset": tables.selection.folder, "policy": tables.policy}.items():
        expected = read_json(root / folder / MANIFEST).get("hash")
        if expected is not None and made_from.get(key) != expected:
            what = f"made from {key} {made_from.get(key)}; {folder} has hash {expected}"
            results.add_error("manifests", str(path), what)
