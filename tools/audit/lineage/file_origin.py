"""From a file to what made it: its hash, the entry of dvc.lock, the commit, the params, the versions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.common.policies import MANIFEST
from stages.common.provenance import compute_sha256
from tools.audit.table_sets import read_json
from tools.dvc_files import find_cache, hash_file, read_cached_listing
from tools.dvc_lock import LOCK, Lock, LockEntry, find_output
from tools.git import describe_last_commit, run_git

SHOWN_PACKAGES = ("torch", "transformers", "polars", "sympy")
"""Libraries shown; the file of the stage's code names all of them."""

CODE_FOLDER = "reports/code/"

NAME_WIDTH = 10
"""Width of the first column, in characters."""


def format_line(name: str, text: str) -> str:
    """`text` under `name`, which is empty where it continues the line before."""
    return f"{name:<{NAME_WIDTH}}{text}".rstrip()


def describe_files(root: Path, lock: Lock, paths: list[Path]) -> Iterator[str]:
    """Where files come from: a line or two each, then the libraries of the stages that wrote them, and the commit."""
    cache = find_cache(root)
    entries: dict[str, LockEntry] = {}
    for path in paths:
        if not (root / path).is_file():
            yield format_line("file", f"{path}  is missing")
            continue
        sha256 = compute_sha256(root / path)
        yield format_line("file", f"{path}  sha256 {sha256}")
        facts = []
        listed = (read_json(root / path.parent / MANIFEST).get("files") or {}).get(path.name)
        if listed is not None:
            facts.append("as its manifest says" if listed == sha256 else f"manifest says {listed}")
        made_by = find_output(lock, path.as_posix())
        if made_by is None:
            facts.append("not an output of any stage")
        else:
            entry, out = made_by
            entries[entry.name] = entry
            facts += [_compare_with_lock(root, cache, path, out, entry.outs[out]), f"written by {entry.name}"]
        yield format_line("", "; ".join(facts))
    yield from _describe_versions(root, list(entries.values()))
    yield format_line("commit", _describe_commit(root))


def read_made_from(root: Path, folder: Path) -> dict[str, Any]:
    """What a policy was made from, by its manifest."""
    value = read_json(root / folder / MANIFEST).get("made_from")
    return value if isinstance(value, dict) else {}


def _compare_with_lock(root: Path, cache: Path | None, path: Path, out: str, md5: str) -> str:
    if md5.endswith(".dir"):
        listed = read_cached_listing(cache, md5)
        if listed is None:
            return f"md5 of {out} {md5}; its listing is not in the cache"
        md5 = listed.get(path.relative_to(out).as_posix(), "no such file")
    actual = hash_file(root / path)
    return f"md5 {actual} as dvc.lock says" if actual == md5 else f"md5 {actual}; dvc.lock says {md5}"


def _describe_commit(root: Path) -> str:
    """The commit that holds dvc.lock, and with it code and params."""
    commit = describe_last_commit(root, LOCK)
    if commit is None:
        return f"{LOCK} is in no commit yet"
    is_changed = run_git(root, "status", "--porcelain", "--", LOCK, "params.yaml", "stages")
    return f"{commit}{'; changed since: dvc.lock, params.yaml or stages' if is_changed else ''}"


def _describe_versions(root: Path, entries: list[LockEntry]) -> Iterator[str]:
    """One line per set of library versions, with the stages that ran with it; none where they have changed since."""
    stages: dict[str, list[str]] = {}
    for entry in entries:
        for path, md5 in entry.deps.items():
            if path.startswith(CODE_FOLDER) and (root / path).is_file() and hash_file(root / path) == md5:
                lines = (line.split() for line in (root / path).read_text(encoding="utf-8").splitlines())
                versions = ", ".join(f"{name} {version}" for name, version in lines if name in SHOWN_PACKAGES)
                stages.setdefault(versions or "no library that decides bytes", []).append(entry.name)
    for versions, names in stages.items():
        yield format_line("ran with", f"{versions}: {', '.join(names)}")
