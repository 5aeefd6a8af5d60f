"""Which files of a changed folder verification names: by DVC's cache, by Git, or by the run's own listing of code."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.code import describe_code
from tools.audit import CheckResults
from tools.audit.verify.hash_checks import check_hash
from tools.dvc_files import hash_files, hash_listing

SOURCES = {
    "stages/__init__.py": '"""Stages."""\n',
    "stages/split/__init__.py": "",
    "stages/split/__main__.py": "import stages.split.spans\n",
    "stages/split/spans.py": "LIMIT = 1\n",
    "stages/split/words.json": "[]\n",
    "stages/unused.py": "LIMIT = 1\n",
    "stages/common/params/__init__.py": "",
    "stages/common/params/__main__.py": "LIMIT = 1\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of code in a repository, with the listing that a run made of it."""
    write(tmp_path, SOURCES)
    write(tmp_path, {f"reports/code/{stage}.txt": text for stage, text in describe_code([], tmp_path).items()})
    git(tmp_path, "init", "-q")
    commit(tmp_path, "stages")
    return tmp_path


def write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


def commit(root: Path, *paths: str) -> None:
    git(root, "add", *paths)
    git(root, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "a run")


def check_changed(root: Path, change: Callable[[], object], folder: str = "stages", check: str = "code") -> str:
    """The end of the line that names `folder` after `change`; the line itself always names both hashes."""
    md5 = hash_listing(hash_files(root / folder))
    change()
    results = CheckResults()
    check_hash(results, check, root, None, folder, md5, "stage")
    (line,) = results.by_check[check].errors
    now = hash_listing(hash_files(root / folder))
    return line.removeprefix(f"{folder}: has md5 {now}; dvc.lock says {md5} (stage)")


def test_git_names_what_changed_since_the_lock_was_committed(root: Path) -> None:
    write(root, {"dvc.lock": "stages: {}\n"})
    commit(root, "dvc.lock", "reports")
    change = {"stages/split/spans.py": "LIMIT = 1  # more\n", "stages/new.py": ""}
    found = check_changed(root, lambda: write(root, change))
    assert found == "; changed since dvc.lock was committed: stages/new.py, stages/split/spans.py"
    found = check_changed(root, lambda: write(root, {"reports/code/split.txt": "-"}), "reports/code", "files")
    assert found == "; changed since dvc.lock was committed: reports/code/split.txt"


@pytest.mark.parametrize("has_git", [True, False])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stages/split/spans.py", "LIMIT = 2\n"),
        ("stages/split/spans.py", "LIMIT = \n"),
        ("stages/split/spans.py", "\0"),
        ("stages/split/words.json", "[1]\n"),
        ("stages/common/params/__main__.py", "LIMIT = 1\nMORE = 2\n"),
    ],
)
def test_where_the_lock_is_in_no_commit_the_listing_of_code_names_a_module(
    root: Path, name: str, text: str, has_git: bool
) -> None:
    if not has_git:
        (root / ".git").rename(root / "no-git")
    assert check_changed(root, lambda: write(root, {name: text})) == f"; not as reports/code lists: {name}"


def test_a_module_that_is_gone_is_named_by_the_listing(root: Path) -> None:
    found = check_changed(root, (root / "stages/split/spans.py").unlink)
    assert found == "; not as reports/code lists: stages/split/spans.py"


def test_what_no_listing_holds_is_compared_with_the_last_commit(root: Path) -> None:
    change = {"stages/unused.py": "LIMIT = 2\n", "stages/split/spans.py": "LIMIT = 1  # more\n"}
    found = check_changed(root, lambda: write(root, change))
    assert found == "; changed since the last commit: stages/split/spans.py, stages/unused.py"


def test_a_listing_that_is_damaged_names_what_it_can(root: Path) -> None:
    lines = "\n\0 1\n.. 1\nstages..x 2\n/etc/passwd 3\n../x.json 4\ntorch 1.0\n"
    (root / "reports/code/split.txt").write_bytes(lines.encode() + b"\xff 5\n")
    found = check_changed(root, lambda: write(root, {"stages/split/spans.py": "LIMIT = 2\n"}))
    assert found == "; changed since the last commit: stages/split/spans.py"


def test_without_git_and_listing_the_folder_alone_is_named(root: Path) -> None:
    (root / ".git").rename(root / "no-git")
    assert check_changed(root, lambda: write(root, {"stages/unused.py": "LIMIT = 2\n"})) == ""
    assert check_changed(root, lambda: write(root, {"reports/code/split.txt": "-"}), "reports/code", "files") == ""
