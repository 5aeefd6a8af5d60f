"""The upload: a folder becomes one commit and one tag on the Hub, or the Hub stays unchanged.

A commit names its parent, so that a concurrent commit is never overwritten (412: read the state again and decide
again). It counts as made once the Hub's `main` has this publication's manifest, so a lost response causes no second
commit. Files are sent before the commit and are not visible without it.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from stages.common.errors import UserError, describe_error
from tools.publish.hub_retries import HUB_ERRORS, HubRetryPolicy
from tools.publish.preconditions import RefusedError
from tools.publish.release_manifest import MANIFEST, ReleaseManifest, read_release_manifest

MAX_ATTEMPTS = 5
"""Commits tried before giving up, when others commit at the same time or the Hub is busy."""

HUB_FILE = ".gitattributes"
"""The one file that the Hub itself puts into a new repository."""


class UploadError(UserError):
    """The Hub did not accept the publication; the message says why and how the Hub was left."""


@dataclass(frozen=True)
class HubTarget:
    """The repository to publish to."""

    repo: str
    """ORG/NAME."""
    kind: Literal["dataset", "model"]
    private: bool = False
    """Whether a new repository is made private, and a public one refused."""


@dataclass(frozen=True)
class UploadResult:
    """State of the Hub: the `commit` under `tag`, and whether this run made it."""

    commit: str
    tag: str
    is_new: bool


@dataclass(frozen=True)
class _HubState:
    """The Hub's `main`: its commit, its files, and its manifest, null where it was not published by this tool."""

    commit: str
    files: tuple[str, ...]
    manifest: ReleaseManifest | None


def upload(
    folder: Path, target: HubTarget, message: str, api: HfApi | None = None, wait: Callable[[float], None] = time.sleep
) -> UploadResult:
    """Make `folder` the content of the repository, tagged with the manifest's hash; do nothing if the tag exists.

    Raises `RefusedError` if nothing may be sent, and `UploadError` if the Hub did not accept it.
    """
    manifest = read_release_manifest(folder / MANIFEST)
    if manifest is None:
        raise RefusedError(f"{folder / MANIFEST}: not the manifest of a publication")
    api = api or HfApi()
    if not (api.token or get_token()):
        raise RefusedError("no token for the Hub: set HF_TOKEN, or log in with `hf auth login`")
    publisher = _Publisher(api, target, HubRetryPolicy(MAX_ATTEMPTS, wait))
    try:
        return publisher.publish(folder, manifest, message)
    except (*HUB_ERRORS, RuntimeError) as error:
        raise UploadError(f"{target.repo}: {describe_error(error)}") from error


def read_published(
    target: HubTarget, api: HfApi | None = None, wait: Callable[[float], None] = time.sleep
) -> ReleaseManifest | None:
    """The manifest of what the repository holds now; None where it holds no publication of this tool.

    Raises `UploadError` where the Hub does not answer.
    """
    publisher = _Publisher(api or HfApi(), target, HubRetryPolicy(MAX_ATTEMPTS, wait))
    try:
        return publisher.read_state().manifest
    except RepositoryNotFoundError:
        return None
    except (*HUB_ERRORS, RuntimeError) as error:
        raise UploadError(f"{target.repo}: {describe_error(error)}") from error


class _Publisher:
    """One upload to one repository."""

    def __init__(self, api: HfApi, target: HubTarget, retry: HubRetryPolicy) -> None:
        self.api = api
        self.target = target
        self.retry = retry
        self.where: dict[str, Any] = {"repo_id": target.repo, "repo_type": target.kind}

    def publish(self, folder: Path, manifest: ReleaseManifest, message: str) -> UploadResult:
        is_untouched = self._ensure_repository()
        try:
            commit_of_tag = self._find_tag(manifest.hash)
            if commit_of_tag is not None:
                return UploadResult(commit_of_tag, manifest.hash, is_new=False)
            commit, is_new = self._create_commit(folder, manifest, message)
            is_untouched = False
        finally:
            if is_untouched:
                self._remove_repository()
        self._create_tag(manifest.hash, commit)
        return UploadResult(commit, manifest.hash, is_new)

    def _ensure_repository(self) -> bool:
        """Create the repository if there is none; whether this run created it."""
        try:
            info = self.retry.call(lambda: self.api.repo_info(**self.where))
        except RepositoryNotFoundError:
            # Not retried, and a repository that someone else creates meanwhile is an error: this run must never remove
            # what it did not create.
            self.api.create_repo(**self.where, private=self.target.private)
            return True
        if self.target.private and not info.private:
            raise RefusedError(f"{self.target.repo}: is public, but --private is set; make it private first")
        return False

    def _remove_repository(self) -> None:
        """Delete the repository that this run created, unless it has other files than the Hub's own by now."""
        try:
            if set(self.read_state().files) <= {HUB_FILE}:
                self.api.delete_repo(**self.where, missing_ok=True)
        except HUB_ERRORS as error:  # the error that led here is the one to raise
            print(f"{self.target.repo}: was created and could not be removed: {describe_error(error)}", file=sys.stderr)

    def _find_tag(self, tag: str) -> str | None:
        """The commit under `tag`, None if there is no such tag."""
        refs = self.retry.call(lambda: self.api.list_repo_refs(**self.where))
        return next((str(ref.target_commit) for ref in refs.tags if ref.name == tag), None)

    def _create_commit(self, folder: Path, manifest: ReleaseManifest, message: str) -> tuple[str, bool]:
        """Commit `folder`; the commit that has it, and whether it was made now."""
        for attempt in range(MAX_ATTEMPTS):
            state = self.read_state()
            if self._is_current(state, manifest):
                return state.commit, attempt > 0
            self._require_replaceable(state, manifest)
            try:
                self.api.create_commit(
                    **self.where,
                    operations=_list_operations(folder, manifest, state),
                    commit_message=message,
                    parent_commit=state.commit,
                )
            except (*HUB_ERRORS, RuntimeError) as error:
                # 412: `main` has moved since its state was read; read it again at once.
                if _get_status(error) != HTTPStatus.PRECONDITION_FAILED:
                    self.retry.wait_after(_unwrap_hub_error(error), attempt)
        state = self.read_state()
        if self._is_current(state, manifest):
            return state.commit, True
        raise UploadError(f"{self.target.repo}: others committed to it {MAX_ATTEMPTS} times; try again later")

    def _is_current(self, state: _HubState, manifest: ReleaseManifest) -> bool:
        """Whether the Hub's `main` is this publication; raise `UploadError` if it has only a part of it."""
        if state.manifest is None or state.manifest.hash != manifest.hash:
            return False
        if missing := sorted(set(manifest.files) - set(state.files)):
            raise UploadError(
                f"{self.target.repo}: commit {state.commit} lacks {', '.join(missing[:5])}; it has no tag"
            )
        return True

    def read_state(self) -> _HubState:
        """The Hub's `main` now."""
        commit = str(self.retry.call(lambda: self.api.repo_info(**self.where)).sha)
        files = tuple(self.retry.call(lambda: self.api.list_repo_files(**self.where, revision=commit)))
        manifest = None
        if MANIFEST in files:
            download = {**self.where, "filename": MANIFEST, "revision": commit}
            manifest = read_release_manifest(Path(self.retry.call(lambda: self.api.hf_hub_download(**download))))
        return _HubState(commit, files, manifest)

    def _require_replaceable(self, state: _HubState, manifest: ReleaseManifest) -> None:
        """Raise `RefusedError` if the commit would remove files or rounds that it does not replace."""
        if state.manifest is None:
            if foreign := sorted(set(state.files) - {HUB_FILE}):
                shown = ", ".join(foreign[:5])
                raise RefusedError(
                    f"{self.target.repo}: has files that were not published by this tool ({shown}); choose another "
                    "repository"
                )
        elif self.target.kind == "dataset" and (lost := _find_lost_rounds(state.manifest, manifest)):
            raise RefusedError(
                f"{self.target.repo}: also has {', '.join(lost)}, which this publication would remove; name all "
                "rounds that it should have, or choose another repository"
            )

    def _create_tag(self, tag: str, commit: str) -> None:
        try:
            self.retry.call(lambda: self.api.create_tag(**self.where, tag=tag, revision=commit, exist_ok=True))
        except HUB_ERRORS as error:
            raise UploadError(
                f"{self.target.repo}: commit {commit} is made, but its tag {tag} is not: {describe_error(error)}; run "
                "this command again, which adds only the tag"
            ) from error


def _find_lost_rounds(published: ReleaseManifest, manifest: ReleaseManifest) -> list[str]:
    return [name for name in published.rounds if name not in manifest.rounds]


def _list_operations(
    folder: Path, manifest: ReleaseManifest, state: _HubState
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """The operations after which the repository has `folder` and nothing else."""
    names = [*manifest.files, MANIFEST]
    stale = sorted(set(state.files) - {*names, HUB_FILE})
    return [
        *(CommitOperationAdd(name, str(folder / name)) for name in names),
        *(CommitOperationDelete(name, is_folder=False) for name in stale),
    ]


def _unwrap_hub_error(error: Exception) -> Exception:
    """The Hub's own error, where the client wraps an error about a file's content in a `RuntimeError`."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, HUB_ERRORS):
        return error.__cause__
    return error


def _get_status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None
