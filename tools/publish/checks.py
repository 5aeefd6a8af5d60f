"""What must hold before anything is published: nothing changed since the commit, and every label verified."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Verify = Callable[[Path], str | None]
"""Looks at all data of the repository at a path: what is broken, in a few lines, or None where nothing is."""

_SHOWN = 10


class RefusedError(ValueError):
    """A publication that must not happen; the message says why and what to do."""


@dataclass(frozen=True)
class Commit:
    """The commit from which a publication is made."""

    id: str
    date: str
    """Day of the commit, YYYY-MM-DD."""
    repository: str | None
    """Public address of the repository, null where its remote is not one."""


def audit(root: Path) -> str | None:
    """Run ``python -m tools.audit verify`` at `root`, in a process of its own, with that tree's code."""
    done = _run([sys.executable, "-m", "tools.audit", "verify"], root)
    return f"exit code {done.returncode}: {_last(done)}" if done.returncode else None


def require_publishable(root: Path = Path(), verify: Verify = audit) -> Commit:
    """Return the commit checked out at `root`.

    Raises `RefusedError` unless the tree is clean, `dvc status` is clean, and `verify` finds nothing broken.
    """
    commit = require_clean_tree(root)
    require_clean_data(root)
    if broken := verify(root):
        raise RefusedError(f"the audit did not pass ({broken}); `python -m tools.audit verify` names what is broken")
    return commit


def require_clean_tree(root: Path) -> Commit:
    """Raise `RefusedError` where a file differs from the commit, or is new and not ignored."""
    changed = _git(root, "status", "--porcelain").splitlines()
    if changed:
        raise RefusedError(
            f"the working tree is not clean ({_some(changed)}); commit or remove these, so that a commit says what is "
            "published"
        )
    return Commit(
        _git(root, "rev-parse", "HEAD"),
        _git(root, "show", "-s", "--format=%cs", "HEAD"),
        _public(_git(root, "config", "--default", "", "--get", "remote.origin.url")),
    )


def require_clean_data(root: Path) -> None:
    """Raise `RefusedError` where data, code or settings differ from dvc.lock."""
    done = _run([sys.executable, "-m", "dvc", "status", "--json"], root)
    if done.returncode:
        raise RefusedError(f"`dvc status` failed: {_last(done)}")
    try:
        status = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise RefusedError(f"`dvc status` was not understood: {_last(done)}") from error
    if status:
        raise RefusedError(
            f"`dvc status` is not clean ({_some(sorted(status))}); run `dvc repro`, or `dvc pull` for its data"
        )


def _git(root: Path, *arguments: str) -> str:
    done = _run(["git", *arguments], root)
    if done.returncode:
        raise RefusedError(f"`git {arguments[0]}` failed: {_last(done)}")
    return done.stdout.strip("\n")


def _run(command: Sequence[str], root: Path) -> subprocess.CompletedProcess[str]:
    # Commands are this module's own, or a caller's.
    return subprocess.run(  # noqa: S603
        list(command), cwd=root, text=True, encoding="utf-8", errors="replace", capture_output=True, check=False
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + "\n" + done.stderr).strip().splitlines()
    return " | ".join(lines[-_SHOWN:]) or "it said nothing"


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(name.strip() for name in names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _public(address: str) -> str | None:
    """`address` where it is one of the web without a user or password in it."""
    return address if re.fullmatch(r"https://[A-Za-z0-9.-]+/[\w./-]+", address) else None
