"""The upload: a folder becomes one commit and one tag on the Hub, or the Hub stays as it was.

A commit names the one it is made on, so that whoever commits at the same time is never overwritten (412: look again and
decide again). It counts as made once the Hub's `main` holds this publication's manifest, so a lost answer is no second
commit. Files are sent before the commit and show up nowhere without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from tools.publish.checks import RefusedError
from tools.publish.manifest import NAME, Publication, read_publication
from tools.publish.patience import TROUBLE, Patience

ATTEMPTS = 5
"""Commits tried before giving up, when others commit at the same time or the Hub is busy."""

THEIRS = ".gitattributes"
"""The one file that the Hub itself puts into a new repository."""


class UploadError(ValueError):
    """The Hub did not take the publication; the message says why and how the Hub was left."""


@dataclass(frozen=True)
class Target:
    """Where a publication goes."""

    repo: str
    """ORG/NAME."""
    kind: Literal["dataset", "model"]
    private: bool = False
    """Whether a new repository is made private, and a public one refused."""


@dataclass(frozen=True)
class Result:
    """What the Hub holds now: the `commit` under `tag`, and whether this run changed anything."""

    commit: str
    tag: str
    changed: bool


@dataclass(frozen=True)
class _Head:
    """The Hub's `main`: its commit, its files, and the publication there, if it is one of this project's."""

    commit: str
    files: tuple[str, ...]
    publication: Publication | None


def upload(
    folder: Path, target: Target, message: str, api: HfApi | None = None, wait: Callable[[float], None] = time.sleep
) -> Result:
    """Make `folder` the content of the repository, with a tag named by its manifest's hash; nothing where it is there.

    Raises `RefusedError` where nothing may be sent, and `UploadError` where the Hub did not take it.
    """
    ours = read_publication(folder / NAME)
    if ours is None:
        raise RefusedError(f"{folder / NAME}: not the manifest of a publication")
    api = api or HfApi()
    if not (api.token or get_token()):
        raise RefusedError("no token for the Hub: set HF_TOKEN, or log in with `hf auth login`")
    publisher = _Publisher(api, target, Patience(ATTEMPTS, wait))
    try:
        return publisher.publish(folder, ours, message)
    except (*TROUBLE, RuntimeError) as error:
        raise UploadError(f"{target.repo}: {_said(error)}") from error


class _Publisher:
    """One upload to one repository."""

    def __init__(self, api: HfApi, target: Target, patience: Patience) -> None:
        self.api = api
        self.target = target
        self.patience = patience
        self.where: dict[str, Any] = {"repo_id": target.repo, "repo_type": target.kind}

    def publish(self, folder: Path, ours: Publication, message: str) -> Result:
        alone = self._make_repository()
        try:
            tagged = self._tagged(ours.hash)
            if tagged is not None:
                return Result(tagged, ours.hash, changed=False)
            commit, changed = self._commit(folder, ours, message)
            alone = False
        finally:
            if alone:
                self._remove_again()
        self._tag(ours.hash, commit)
        return Result(commit, ours.hash, changed)

    def _make_repository(self) -> bool:
        """Make sure of the repository; whether it was made now."""
        try:
            info = self.patience.call(lambda: self.api.repo_info(**self.where))
        except RepositoryNotFoundError:
            # Not tried twice, and a repository that someone else makes meanwhile is an error: what this run did not
            # make, it must never remove.
            self.api.create_repo(**self.where, private=self.target.private)
            return True
        if self.target.private and not info.private:
            raise RefusedError(f"{self.target.repo}: is public, and --private was asked for; make it private first")
        return False

    def _remove_again(self) -> None:
        """Delete the repository that this run made, unless it holds more by now than what the Hub puts into it."""
        try:
            if set(self._head().files) <= {THEIRS}:
                self.api.delete_repo(**self.where, missing_ok=True)
        except TROUBLE as error:  # the fault that led here is the one to raise
            print(f"{self.target.repo}: was made and could not be removed again: {_said(error)}", file=sys.stderr)

    def _tagged(self, tag: str) -> str | None:
        """The commit under `tag`, None if there is no such tag."""
        refs = self.patience.call(lambda: self.api.list_repo_refs(**self.where))
        return next((str(ref.target_commit) for ref in refs.tags if ref.name == tag), None)

    def _commit(self, folder: Path, ours: Publication, message: str) -> tuple[str, bool]:
        """Commit `folder`; the commit that holds it, and whether it was made now."""
        for attempt in range(ATTEMPTS):
            head = self._head()
            if self._holds(head, ours):
                return head.commit, attempt > 0
            self._require_ours(head, ours)
            try:
                self.api.create_commit(
                    **self.where,
                    operations=_operations(folder, ours, head),
                    commit_message=message,
                    parent_commit=head.commit,
                )
            except (*TROUBLE, RuntimeError) as error:
                # 412: `main` has moved on since it was looked at, so there is something new to look at, now.
                if _status(error) != HTTPStatus.PRECONDITION_FAILED:
                    self.patience.wait_after(_cause(error), attempt)
        head = self._head()
        if self._holds(head, ours):
            return head.commit, True
        raise UploadError(f"{self.target.repo}: others committed to it {ATTEMPTS} times meanwhile; try again later")

    def _holds(self, head: _Head, ours: Publication) -> bool:
        """Whether the Hub's `main` is this publication; raise `UploadError` where it took only part of it."""
        if head.publication is None or head.publication.hash != ours.hash:
            return False
        if missing := sorted(set(ours.files) - set(head.files)):
            raise UploadError(f"{self.target.repo}: commit {head.commit} lacks {', '.join(missing[:5])}; it has no tag")
        return True

    def _head(self) -> _Head:
        commit = str(self.patience.call(lambda: self.api.repo_info(**self.where)).sha)
        files = tuple(self.patience.call(lambda: self.api.list_repo_files(**self.where, revision=commit)))
        publication = None
        if NAME in files:
            download = {**self.where, "filename": NAME, "revision": commit}
            publication = read_publication(Path(self.patience.call(lambda: self.api.hf_hub_download(**download))))
        return _Head(commit, files, publication)

    def _require_ours(self, head: _Head, ours: Publication) -> None:
        """Raise `RefusedError` where the commit would take something away that is not there to be replaced."""
        if head.publication is None:
            if foreign := sorted(set(head.files) - {THEIRS}):
                shown = ", ".join(foreign[:5])
                raise RefusedError(
                    f"{self.target.repo}: holds files that were not published from here ({shown}); choose another "
                    "repository"
                )
        elif self.target.kind == "dataset" and (lost := _lost(head.publication, ours)):
            raise RefusedError(
                f"{self.target.repo}: holds {', '.join(lost)} too, which this publication would take away; name all "
                "that it shall hold, or choose another repository"
            )

    def _tag(self, tag: str, commit: str) -> None:
        try:
            self.patience.call(lambda: self.api.create_tag(**self.where, tag=tag, revision=commit, exist_ok=True))
        except TROUBLE as error:
            raise UploadError(
                f"{self.target.repo}: commit {commit} is made, but not its tag {tag}: {_said(error)}; run this again, "
                "which only adds the tag"
            ) from error


def _lost(theirs: Publication, ours: Publication) -> list[str]:
    return [name for name in theirs.rounds if name not in ours.rounds]


def _operations(folder: Path, ours: Publication, head: _Head) -> list[CommitOperationAdd | CommitOperationDelete]:
    """What makes `head` hold `folder` and nothing else."""
    names = [*ours.files, NAME]
    stale = sorted(set(head.files) - {*names, THEIRS})
    return [
        *(CommitOperationAdd(name, str(folder / name)) for name in names),
        *(CommitOperationDelete(name, is_folder=False) for name in stale),
    ]


def _cause(error: Exception) -> Exception:
    """The Hub's own answer, where the client wraps what went wrong with a file's content in a `RuntimeError`."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, TROUBLE):
        return error.__cause__
    return error


def _status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _said(error: Exception) -> str:
    """The Hub's answer in a line."""
    return " ".join(str(error).split())[:500] or type(error).__name__
