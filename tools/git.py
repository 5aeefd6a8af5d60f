"""What Git knows about this repository: the one place where tools run it."""

import subprocess
from pathlib import Path

from stages.common.errors import UserError


def run_git(root: Path, *arguments: str) -> str | None:
    """Output of a Git command in the repository at `root`; None where it fails or Git is not installed.

    Arguments come from this package; a revision given by the user follows ``--end-of-options``.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def resolve_commit(root: Path, revision: str) -> str:
    """The commit that `revision` names; raises `UserError` where it names none."""
    found = run_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        raise UserError(f"{revision}: names no commit of this repository")
    return found.strip()


def read_file_at(root: Path, commit: str, path: str) -> str | None:
    """The text of a file in a commit, None where it has none."""
    return run_git(root, "show", f"{commit}:./{path}")


def describe_last_commit(root: Path, path: str) -> str | None:
    """The last commit that changed `path` on one line: short hash, date, subject; None without one."""
    return (run_git(root, "log", "-n1", "--format=%h %cs %s", "--", path) or "").strip() or None


def list_changed_since_commit_of(root: Path, path: str, folder: str) -> list[str]:
    """Files below `folder`, untracked ones included, that differ from the last commit that changed `path`.

    Empty where no commit holds `path`.
    """
    commit = (run_git(root, "log", "-n1", "--format=%H", "--", path) or "").strip()
    return list_changed_since(root, commit, folder) if commit else []


def list_changed_since(root: Path, commit: str, folder: str) -> list[str]:
    """Files below `folder`, untracked ones included, that differ from a commit; empty where there is no such commit."""
    changed = run_git(root, "diff", "--name-only", "-z", "--relative", commit, "--", folder)
    if changed is None:
        return []
    untracked = run_git(root, "ls-files", "-o", "-z", "--exclude-standard", "--", folder) or ""
    return sorted({*changed.split("\0"), *untracked.split("\0")} - {""})
