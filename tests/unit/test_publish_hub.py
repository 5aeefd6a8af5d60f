"""Uploading with the real client to a small Hub on this machine: one commit and one tag, whatever goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
import pytest
from huggingface_hub import HfApi, constants
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hub_server import Fault, Hub, Repository, serve
from tools.publish.hub_retries import MAX_WAIT_S, choose_wait_s
from tools.publish.hub_upload import MAX_ATTEMPTS, HubTarget, UploadError, UploadResult, read_published, upload
from tools.publish.preconditions import RefusedError
from tools.publish.release_manifest import read_release_manifest, write_release_manifest

TOKEN = "a-token-of-this-test"
TARGET = HubTarget("org/sums", "dataset")
LARGE_FILE = bytes(range(256)) * 200
"""Sent apart from the commit, as Parquet and weights are."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    # Xet speaks to a storage of the Hub's own; without it the client sends large files by plain HTTP.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serve() as hub:
        hub.tokens = {TOKEN}
        yield hub


def make_folder(folder: Path, text: str = "one", rounds: tuple[str, ...] = ("M1",), **more: bytes) -> Path:
    """A small publication."""
    files = {
        "README.md": f"---\nlicense: mit\n---\n# {text}\n".encode(),
        "data/M1/kto/00000.parquet": LARGE_FILE,
        **more,
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write_release_manifest(folder, {name: {} for name in rounds}, {})
    return folder


def hash_of(folder: Path) -> str:
    publication = read_release_manifest(folder / "manifest.json")
    assert publication is not None
    return publication.hash


def send(hub: Hub, folder: Path, target: HubTarget = TARGET, waits: list[float] | None = None) -> UploadResult:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    return upload(folder, target, "Publish M1", api, (waits if waits is not None else []).append)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_published(hub: Hub, folder: Path, commits: int = 2) -> bool:
    """Whether the repository holds the folder and nothing else, under its tag, after that many commits."""
    repository = hub.repository("org/sums")
    held = {name: data for name, data in repository.head.files.items() if name != ".gitattributes"}
    return (
        held == contents(folder)
        and repository.tags.get(hash_of(folder)) == repository.head.id
        and len(repository.commits) == commits
    )


def test_one_commit_and_one_tag_and_nothing_the_second_time(hub: Hub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out")
    first = send(hub, folder)
    assert is_published(hub, folder)
    assert first == UploadResult(hub.repository("org/sums").head.id, hash_of(folder), is_new=True)
    assert hub.repository("org/sums").head.message == "Publish M1"
    assert not hub.repository("org/sums").private
    state = hub.state()
    hub.requests.clear()
    second = send(hub, folder)
    assert second == UploadResult(first.commit, first.tag, is_new=False)
    assert hub.state() == state
    assert [request for request in hub.requests if not request.startswith("GET")] == []


def test_what_the_hub_holds_is_read(hub: Hub, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    assert read_published(TARGET, api) is None
    assert not hub.state(), "asking makes no repository"
    folder = make_folder(tmp_path / "out")
    send(hub, folder)
    published = read_published(TARGET, api)
    assert published is not None
    assert published.hash == hash_of(folder)
    assert published.facts["rounds"] == {"M1": {}}


def test_a_changed_folder_replaces_what_is_there_under_a_tag_of_its_own(hub: Hub, tmp_path: Path) -> None:
    old = make_folder(tmp_path / "old", **{"data/M1/rft/00000.parquet": LARGE_FILE + b"!"})
    new = make_folder(tmp_path / "new", "two")
    first = send(hub, old)
    send(hub, new)
    assert is_published(hub, new, commits=3)
    repository = hub.repository("org/sums")
    assert repository.tags[hash_of(old)] == first.commit
    assert "data/M1/rft/00000.parquet" in repository.at(hash_of(old)).files  # type: ignore[union-attr]
    state = hub.state()
    assert not send(hub, old).is_new, "its tag is there"
    assert hub.state() == state


def test_private_repositories(hub: Hub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out")
    private = HubTarget("org/sums", "model", private=True)
    send(hub, folder, private)
    assert hub.repository("org/sums", "model").private
    assert not send(hub, folder, private).is_new
    hub.repository("org/sums", "model").private = False
    state = hub.state()
    with pytest.raises(RefusedError, match="is public, but --private is set"):
        send(hub, folder, private)
    assert hub.state() == state


def test_what_others_put_there_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out")
    theirs = Repository("dataset", "org/sums", private=False)
    theirs.add({".gitattributes": b"", "manifest.json": b'{"hash": "x"}', "data.csv": b"1"}, "theirs")
    hub.repositories["dataset", "org/sums"] = theirs
    state = hub.state()
    with pytest.raises(RefusedError, match=r"not published by this tool \(data.csv, manifest.json\)"):
        send(hub, folder)
    assert hub.state() == state


def test_a_round_is_never_taken_away(hub: Hub, tmp_path: Path) -> None:
    send(hub, make_folder(tmp_path / "both", rounds=("M1", "M2")))
    state = hub.state()
    with pytest.raises(RefusedError, match="also has M2"):
        send(hub, make_folder(tmp_path / "one", "other", rounds=("M1",)))
    assert hub.state() == state


def test_no_token_no_upload(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.publish.hub_upload.get_token", lambda: None)
    with pytest.raises(RefusedError, match="set HF_TOKEN"):
        upload(make_folder(tmp_path / "out"), TARGET, "x", HfApi(endpoint=hub.url))
    assert hub.requests == []


def test_a_wrong_token_is_said_without_the_token(hub: Hub, tmp_path: Path) -> None:
    hub.tokens = {"another"}
    with pytest.raises(UploadError, match="401") as caught:
        send(hub, make_folder(tmp_path / "out"))
    assert TOKEN not in str(caught.value)
    assert hub.state() == {}


def test_a_folder_without_a_manifest_is_refused(hub: Hub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out")
    (folder / "manifest.json").write_text('{"hash": 1}', encoding="utf-8")
    with pytest.raises(RefusedError, match="not the manifest of a publication"):
        send(hub, folder)


BUSY = {"Retry-After": "7"}
PATIENT = [
    ("the repository is asked for", Fault("GET /api/datasets/org/sums$", 429, headers=BUSY)),
    ("the commit is sent", Fault("POST .*/commit/main", 429, headers=BUSY)),
    ("the tag is made", Fault("POST .*/tag/", 429, headers=BUSY)),
    ("the manifest there is read", Fault("HEAD .*/resolve/", 429, headers=BUSY)),
    ("the tags are asked for", Fault("GET .*/refs", 503, headers=BUSY)),
]


@pytest.mark.parametrize("fault", [fault for _, fault in PATIENT], ids=[name for name, _ in PATIENT])
def test_a_busy_hub_is_waited_for(hub: Hub, tmp_path: Path, fault: Fault) -> None:
    send(hub, make_folder(tmp_path / "old", "old"))
    folder = make_folder(tmp_path / "out")
    fault = Fault(fault.pattern, fault.status, headers=fault.headers)
    hub.faults, waits = [fault], []
    send(hub, folder, waits=waits)
    assert fault.times == 0, "the fault was met"
    assert is_published(hub, folder, commits=3)
    assert waits == ([] if "HEAD" in fault.pattern else [7.0]), "of downloads, the client itself waits"


LOST = [
    ("commit", Fault("POST .*/commit/main", 0, after=True)),
    ("tag", Fault("POST .*/tag/", 0, after=True)),
    ("commit, by a gateway", Fault("POST .*/commit/main", 504, after=True)),
    ("file", Fault("PUT /large/", 500, after=True)),
]


@pytest.mark.parametrize("fault", [fault for _, fault in LOST], ids=[name for name, _ in LOST])
def test_a_lost_answer_makes_no_second_commit(hub: Hub, tmp_path: Path, fault: Fault) -> None:
    folder = make_folder(tmp_path / "out")
    fault = Fault(fault.pattern, fault.status, after=True)
    hub.faults = [fault]
    assert send(hub, folder).is_new
    assert fault.times == 0, "the fault was met"
    assert is_published(hub, folder)


REFUSED = [
    ("a look at the tags", Fault("GET .*/refs", 403, times=99)),
    ("a file", Fault("PUT /large/", 403, times=99)),
    ("what is sent how", Fault("POST .*/preupload/", 403, times=99)),
    ("where to", Fault("POST .*/lfs/objects/batch", 403, times=99)),
    ("the card", Fault("POST /api/validate-yaml", 400, times=99)),
    ("the commit", Fault("POST .*/commit/main", 403, times=99)),
    ("the commit, without end", Fault("POST .*/commit/main", 429, times=99, headers=BUSY)),
    ("the commit, without an answer", Fault("POST .*/commit/main", 0, times=99)),
]


@pytest.mark.parametrize("there", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("fault", [fault for _, fault in REFUSED], ids=[name for name, _ in REFUSED])
def test_a_failed_upload_leaves_the_hub_as_it_was(hub: Hub, tmp_path: Path, fault: Fault, there: bool) -> None:
    if there:
        send(hub, make_folder(tmp_path / "old", "old"))
    state = hub.state()
    folder = make_folder(tmp_path / "out", **{"other.parquet": LARGE_FILE * 2})
    hub.faults = [Fault(fault.pattern, fault.status, fault.times, fault.headers)]
    with pytest.raises((UploadError, ValueError)):
        send(hub, folder)
    assert hub.state() == state
    hub.faults = []
    send(hub, folder)
    assert is_published(hub, folder, commits=3 if there else 2)


def test_a_repository_that_cannot_be_removed_again_is_said(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults = [Fault("POST .*/commit/main", 403), Fault("DELETE ", 403)]
    with pytest.raises(UploadError, match="403"):
        send(hub, make_folder(tmp_path / "out"))
    assert "org/sums: was created and could not be removed" in capsys.readouterr().err
    assert hub.repository("org/sums").tags == {}


def test_an_interrupted_upload_leaves_the_hub_as_it_was(hub: Hub, tmp_path: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    hub.faults = [Fault("POST .*/commit/main", 429)]
    with pytest.raises(KeyboardInterrupt):
        upload(make_folder(tmp_path / "out"), TARGET, "x", HfApi(endpoint=hub.url, token=TOKEN), interrupt)
    assert hub.state() == {}


def commit_of(files: dict[str, bytes]) -> Callable[[Repository], None]:
    """Someone else's commit."""
    return lambda repository: repository.add({**repository.head.files, **files}, "meanwhile")


def test_a_commit_by_another_run_meanwhile_is_found(hub: Hub, tmp_path: Path) -> None:
    """412: the same publication, made by another process at the same time, is there and is only tagged."""
    send(hub, make_folder(tmp_path / "old", "old"))
    folder = make_folder(tmp_path / "out")
    hub.before_commit = commit_of(contents(folder))
    send(hub, folder)
    assert is_published(hub, folder, commits=3)


def test_an_older_publication_that_comes_meanwhile_is_replaced(hub: Hub, tmp_path: Path) -> None:
    send(hub, make_folder(tmp_path / "old", "old"))
    hub.before_commit = commit_of(contents(make_folder(tmp_path / "other", "other")))
    folder = make_folder(tmp_path / "out")
    send(hub, folder)
    assert is_published(hub, folder, commits=4)
    assert [commit.message for commit in hub.repository("org/sums").commits][-2:] == ["meanwhile", "Publish M1"]


def test_foreign_files_that_come_meanwhile_are_never_lost(hub: Hub, tmp_path: Path) -> None:
    """412, and then what is there belongs to someone else: a repository that this run made is not removed either."""
    hub.before_commit = commit_of({"data.csv": b"1"})
    with pytest.raises(RefusedError, match="not published by this tool"):
        send(hub, make_folder(tmp_path / "out"))
    assert hub.repository("org/sums").head.files["data.csv"] == b"1"


def test_without_end_of_others_commits_it_gives_up(hub: Hub, tmp_path: Path) -> None:
    send(hub, make_folder(tmp_path / "old", "old"))
    state = hub.state()
    hub.faults = [Fault("POST .*/commit/main", 412, times=99)]
    with pytest.raises(UploadError, match="others committed"):
        send(hub, make_folder(tmp_path / "out"))
    assert hub.faults[0].times == 99 - MAX_ATTEMPTS
    assert hub.state() == state


def test_the_last_attempt_counts(hub: Hub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out")
    hub.faults = [Fault("POST .*/commit/main", 412, times=MAX_ATTEMPTS - 1)]
    assert send(hub, folder).is_new
    assert is_published(hub, folder)


def test_a_commit_that_lacks_a_file_gets_no_tag(hub: Hub, tmp_path: Path) -> None:
    hub.ignored = {"data/M1/kto/00000.parquet"}
    with pytest.raises(UploadError, match=r"lacks data/M1/kto/00000\.parquet"):
        send(hub, make_folder(tmp_path / "out"))
    assert hub.repository("org/sums").tags == {}


def test_a_model_repository_goes_on_to_the_next_policy(hub: Hub, tmp_path: Path) -> None:
    target = HubTarget("org/sums", "model")
    send(hub, make_folder(tmp_path / "M1", "M1", rounds=("M1",)), target)
    send(hub, make_folder(tmp_path / "M2", "M2", rounds=("M2",)), target)
    assert len(hub.repository("org/sums", "model").tags) == 2


def test_a_tag_that_cannot_be_made_is_made_by_the_next_run(hub: Hub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out")
    hub.faults = [Fault("POST .*/tag/", 403)]
    with pytest.raises(UploadError, match="run this command again, which adds only the tag"):
        send(hub, folder)
    assert not send(hub, folder).is_new
    assert is_published(hub, folder)


@given(st.text(max_size=20), st.text(max_size=40), st.integers(0, 8))
def test_a_pause_is_bounded_whatever_the_answer_says(after: str, limit: str, attempt: int) -> None:
    headers = [("retry-after", after.encode("utf-8", "replace")), ("ratelimit", limit.encode("utf-8", "replace"))]
    assert 0 <= choose_wait_s(httpx2.Response(429, headers=headers), attempt) <= MAX_WAIT_S


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12.0),
        ({"RateLimit": '"api";r=0;t=55'}, 55.0),
        ({"Retry-After": "soon"}, 4.0),
        ({}, 4.0),
        ({"Retry-After": "99999"}, MAX_WAIT_S),
    ],
)
def test_a_pause_is_what_the_answer_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert choose_wait_s(httpx2.Response(429, headers=headers), 1) == seconds


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_manifest_of_others_is_none(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        assert read_release_manifest(path) is None


LOAD = """
import json, sys
from datasets import load_dataset
for name in sys.argv[3:]:
    rows = load_dataset(sys.argv[1], name, revision=sys.argv[2], split="train")
    print(json.dumps([rows.to_list(), list(rows.features)]))
"""


def test_datasets_reads_a_publication_through_the_hubs_client(hub: Hub, tmp_path: Path) -> None:
    from tests.support.publish_place import make_place
    from tools.publish import Commit, write_dataset
    from tools.publish.formats import list_formats

    folder = tmp_path / "out"
    folder.mkdir()
    place = make_place(tmp_path / "place", problems=4)
    publication = write_dataset(["M1"], "org/sums", Commit("c" * 40, "2026-01-02", None), folder, place)
    send(hub, folder)
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    command = [
        sys.executable,
        "-c",
        LOAD,
        "org/sums",
        publication.hash,
        *(f"M1-{form.name}" for form in list_formats()),
    ]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for form, line in zip(list_formats(), done.stdout.splitlines(), strict=True):
        rows, features = json.loads(line)
        assert features == [column.name for column in form.list_columns(False)]
        assert rows == pl.read_parquet(folder / f"data/M1/{form.name}/*.parquet").to_dicts()
