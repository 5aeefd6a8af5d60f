"""What is refused before anything is written: a tree, data or labels that a commit does not vouch for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.publish.preconditions import RefusedError, require_publishable, verify_project


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(command, cwd=root, check=True, text=True, capture_output=True).stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one DVC stage that has run, all of it committed: to be copied only."""
    root = tmp_path_factory.mktemp("made")
    git(root, "init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=root, check=True)
    (root / "in.txt").write_text("in", encoding="utf-8")
    (root / "dvc.yaml").write_text(
        "stages:\n  copy: {cmd: cp in.txt out.txt, deps: [in.txt], outs: [out.txt]}\n"
        "  other: {cmd: cp more.txt end.txt, deps: [more.txt], outs: [end.txt]}\n",
        encoding="utf-8",
    )
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "copy"], cwd=root, check=True)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """The test's own copy of it."""
    return shutil.copytree(made, tmp_path / "project", symlinks=True)


def nothing_broken(*_: object) -> None:
    """An audit that passes."""


def test_what_is_refused_and_why(root: Path) -> None:
    git(root, "remote", "add", "origin", "https://example.org/project.git")
    commit = require_publishable(["copy"], root, nothing_broken)
    assert commit.id == git(root, "rev-parse", "HEAD")
    assert commit.repository == "https://example.org/project.git"
    assert commit.date.count("-") == 2

    with pytest.raises(RefusedError, match=r"audit did not pass \(row 3 of samples/M1: span\)"):
        require_publishable(["copy"], root, lambda *_: "row 3 of samples/M1: span")

    (root / "new.txt").write_text("new", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"not clean \(\?\? new.txt\)"):
        require_publishable(["copy"], root, nothing_broken)
    (root / "new.txt").unlink()

    (root / "in.txt").write_text("other", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"not clean \(M in.txt\)"):
        require_publishable(["copy"], root, nothing_broken)
    git(root, "commit", "-qam", "changed, not run")
    with pytest.raises(RefusedError, match=r"`dvc status` is not clean \(copy\); run `stepkto repro copy`"):
        require_publishable(["copy"], root, nothing_broken)


def test_only_what_is_published_need_have_run(root: Path) -> None:
    assert require_publishable(["copy"], root, nothing_broken).outdated == {"other"}
    with pytest.raises(RefusedError, match=r"other: not run yet; run `stepkto repro other`"):
        require_publishable(["other"], root, nothing_broken)


def test_changed_data_is_refused(root: Path) -> None:
    (root / "out.txt").unlink()
    (root / "out.txt").write_text("tampered", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"`dvc status` is not clean \(copy\)"):
        require_publishable(["copy"], root, nothing_broken)


@pytest.mark.parametrize(
    "address",
    ["https://user:word@example.org/p.git", "/home/ana/p", "git@example.org:p.git", "https://example.org/a b"],
)
def test_an_address_that_is_not_public_is_left_out(root: Path, address: str) -> None:
    git(root, "remote", "add", "origin", address)
    assert require_publishable(["copy"], root, nothing_broken).repository is None


def test_outside_a_repository(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="`git status` failed"):
        require_publishable(["copy"], tmp_path, nothing_broken)


def test_an_audit_that_cannot_run_does_not_pass(tmp_path: Path) -> None:
    broken = verify_project(tmp_path, ["dataset@M1"])
    assert broken is not None
    assert broken.startswith("exit code ")


def test_an_audit_speaks_through_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/__init__.py").touch()
    command = tmp_path / "tools/cli.py"
    command.write_text(
        "import sys\nassert sys.argv[1:] == ['audit', 'verify', '--for', 'dataset@M1']\n", encoding="utf-8"
    )
    assert verify_project(tmp_path, ["dataset@M1"]) is None
    command.write_text("import sys\nprint('labels BROKEN 1 of 9')\nsys.exit(1)\n", encoding="utf-8")
    assert verify_project(tmp_path, ["dataset@M1"]) == "exit code 1: labels BROKEN 1 of 9"
