"""What must hold before a publication: a clean tree, up-to-date data of what is published, and a passed audit of it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stages.common.errors import UserError
from tools.dvc_lock import find_lineage, read_lock

Verify = Callable[[Path, Sequence[str]], str | None]
"""Verifies what some stages of the repository at a path were made from: what is broken, in a few lines, or None."""

MAX_LISTED = 10


class RefusedError(UserError):
    """A publication that must not happen; the message says why and what to do."""


@dataclass(frozen=True)
class Commit:
    """The commit that is published."""

    id: str
    date: str
    """Day of the commit, YYYY-MM-DD."""
    repository: str | None
    """Public URL of the repository, null where its remote is none."""
    outdated: frozenset[str] = frozenset()
    """Stages that have not run on what the commit holds; nothing is stated of their results."""


def verify_project(root: Path, targets: Sequence[str]) -> str | None:
    """Run ``stepkto audit verify --for TARGET`` at `root`, in its own process, with that tree's code."""
    options = [word for target in targets for word in ("--for", target)]
    done = _run([sys.executable, "-m", "tools.cli", "audit", "verify", *options], root)
    return f"exit code {done.returncode}: {_last_lines(done)}" if done.returncode else None


def require_publishable(targets: Sequence[str], root: Path = Path(), verify: Verify = verify_project) -> Commit:
    """Return the commit checked out at `root`, from which the results of the stages `targets` are published.

    Raises `RefusedError` unless the tree is clean, all that the targets were made from is up to date, and `verify`
    finds nothing broken there. Other rounds, evaluations and the report need not have run.
    """
    commit = replace(require_clean_tree(root), outdated=require_current_data(root, targets))
    if broken := verify(root, targets):
        raise RefusedError(f"the audit did not pass ({broken}); `stepkto audit verify` names what is broken")
    return commit


def require_clean_tree(root: Path) -> Commit:
    """Raise `RefusedError` where a file differs from the commit, or is new and not ignored."""
    changed = _git(root, "status", "--porcelain").splitlines()
    if changed:
        raise RefusedError(
            f"the working tree is not clean ({_list_names(changed)}); commit or remove these, so that the commit "
            "describes what is published"
        )
    url = _git(root, "config", "--default", "", "--get", "remote.origin.url")
    return Commit(
        _git(root, "rev-parse", "HEAD"),
        _git(root, "show", "-s", "--format=%cs", "HEAD"),
        # A web address without user or password.
        url if re.fullmatch(r"https://[A-Za-z0-9.-]+/[\w./-]+", url) else None,
    )


def require_current_data(root: Path, targets: Sequence[str]) -> frozenset[str]:
    """Raise `RefusedError` where what `targets` were made from differs from dvc.lock; the other stages that do."""
    done = _run([sys.executable, "-m", "dvc", "status", "--json"], root)
    if done.returncode:
        raise RefusedError(f"`dvc status` failed: {_last_lines(done)}")
    try:
        status = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise RefusedError(f"`dvc status`: expected JSON, found {_last_lines(done)}") from error
    lock = read_lock(root)
    if missing := [target for target in targets if target not in lock]:
        raise RefusedError(f"{_list_names(missing)}: not run yet; run `stepkto repro {' '.join(missing)}`")
    if outdated := sorted(set(find_lineage(lock, targets)) & set(status)):
        raise RefusedError(
            f"`dvc status` is not clean ({_list_names(outdated)}); run `stepkto repro {' '.join(targets)}`, or "
            "`dvc pull` for its data"
        )
    return frozenset(status)


def _git(root: Path, *arguments: str) -> str:
    done = _run(["git", *arguments], root)
    if done.returncode:
        raise RefusedError(f"`git {arguments[0]}` failed: {_last_lines(done)}")
    return done.stdout.strip("\n")


def _run(command: Sequence[str], root: Path) -> subprocess.CompletedProcess[str]:
    # Commands are this module's own.
    return subprocess.run(  # noqa: S603
        list(command), cwd=root, text=True, encoding="utf-8", errors="replace", capture_output=True, check=False
    )


def _last_lines(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + "\n" + done.stderr).strip().splitlines()
    return " | ".join(lines[-MAX_LISTED:]) or "no output"


def _list_names(names: list[str]) -> str:
    num_more = len(names) - MAX_LISTED
    return ", ".join(name.strip() for name in names[:MAX_LISTED]) + (f" and {num_more} more" if num_more > 0 else "")
