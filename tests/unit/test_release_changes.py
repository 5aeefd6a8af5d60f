"""A later publication says what changed since the one before, and its version follows by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stages.common.errors import UserError
from tests.support.publish_place import make_place
from tools.audit.lineage.label_diff import LEVELS, LabelChanges
from tools.publish import commands, release_changes
from tools.publish.preconditions import Commit
from tools.publish.publish_folder import write_dataset
from tools.publish.release_changes import ReleaseChanges, find_changes
from tools.publish.release_manifest import MANIFEST, ReleaseManifest, read_release_manifest

CONFIGS = {"M1-kto": {"rows": 4, "columns": {"sample_id": "string", "label": "bool"}}}
ROUNDS = {"M1": {"dataset": "d", "policy": "p", "judge": {"kind": "rule"}}}
SINCE = {"version": "1.4.2", "tag": "t", "commit": "then"}


def publish(**facts: Any) -> ReleaseManifest:
    made: dict[str, Any] = {"made_from": {"commit": "then"}, "rounds": ROUNDS, "configs": CONFIGS}
    return ReleaseManifest("t", {}, ("M1",), {**made, "version": "1.4.2", "release_changes": {"since": None}, **facts})


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is found when tables are compared."""
    found: dict[str, Any] = {"rows": (0, 0), "labels": []}
    monkeypatch.setattr(release_changes, "compare_rows", lambda *_: found["rows"])
    monkeypatch.setattr(release_changes, "compare_labels", lambda *_: found["labels"])
    return found


def compare(configs: dict[str, Any] = CONFIGS, rounds: dict[str, Any] = ROUNDS) -> ReleaseChanges:
    return find_changes(publish(), "now", configs, rounds, Path())


def test_the_first_publication_has_the_first_version() -> None:
    assert find_changes(None, "now", CONFIGS, ROUNDS, Path()) == ReleaseChanges()
    assert ReleaseChanges().version == "1.0.0"
    by_older_tool = ReleaseManifest("t", {}, ("M1",), {"made_from": {"commit": "then"}, "rounds": {}})
    assert find_changes(by_older_tool, "now", CONFIGS, ROUNDS, Path()).version == "1.0.0"


def test_labels_that_changed_are_a_major_version(tables: dict[str, Any]) -> None:
    changes = LabelChanges("M1", LEVELS[0], 9, 9)
    changes.counts["judge", "correct", "incorrect"] += 3
    tables["labels"] = [changes, LabelChanges("M1", LEVELS[1])]
    found = compare()
    assert found.changed == ["M1, labels of steps, because of stage judge: 3 correct -> incorrect"]
    assert (found.version, found.since) == ("2.0.0", SINCE)


@pytest.mark.usefixtures("tables")
def test_the_same_data_is_a_patch() -> None:
    assert (compare().version, compare().changed, compare().gained) == ("1.4.3", [], [])


def test_rows_gained_are_a_minor_version_and_rows_lost_a_major_one(tables: dict[str, Any]) -> None:
    tables["rows"] = (2, 0)
    found = compare()
    assert (found.version, found.gained, found.changed) == ("1.5.0", ["M1: 2 training rows gained"], [])
    tables["rows"] = (2, 1)
    found = compare()
    assert (found.version, found.changed) == ("2.0.0", ["M1: 1 training rows lost"])


@pytest.mark.usefixtures("tables")
def test_columns_and_configurations() -> None:
    columns = CONFIGS["M1-kto"]["columns"]
    more = {"M1-kto": {"rows": 5, "columns": {**columns, "why": "string"}}, "M1-rft": CONFIGS["M1-kto"]}
    found = compare(more)
    assert found.version == "1.5.0"
    assert found.gained == [
        "M1-kto: column why is new",
        "M1-kto: 4 rows then, 5 now",
        "configuration M1-rft is new",
    ]
    found = compare({"M1-kto": {"rows": 4, "columns": {"sample_id": "int64"}}})
    assert found.version == "2.0.0"
    assert found.changed == [
        "M1-kto: column label was bool, is gone",
        "M1-kto: column sample_id was string, is int64",
    ]
    assert compare({}).changed == ["configuration M1-kto is gone"]


@pytest.mark.usefixtures("tables")
def test_another_judge_or_policy_is_a_major_version() -> None:
    other = {"M1": {**ROUNDS["M1"], "judge": {"kind": "llm"}, "policy": "q"}}
    found = compare(rounds=other)
    assert found.changed == ["M1: another judge", "M1: another policy"]
    assert found.version == "2.0.0"


def test_what_cannot_be_compared_is_said_and_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UserError("the old data/labels/M1 is not in DVC's cache")

    monkeypatch.setattr(release_changes, "compare_rows", fail)
    found = compare()
    assert found.changed == ["rows and labels were not compared: the old data/labels/M1 is not in DVC's cache"]
    assert found.version == "2.0.0"


def test_the_same_publication_again_is_the_same() -> None:
    had = {"since": SINCE, "changed": [], "gained": ["a row"]}
    again = find_changes(publish(release_changes=had, version="1.5.0"), "then", CONFIGS, ROUNDS, Path())
    assert again == ReleaseChanges(**had)
    assert again.version == "1.5.0"


def test_card_manifest_and_croissant_have_the_version(tmp_path: Path, tables: dict[str, Any]) -> None:
    place = make_place(tmp_path / "place")
    first = write_once(place, tmp_path / "first", "a" * 40, None)
    assert first.facts["version"] == "1.0.0"
    tables["rows"] = (3, 1)
    second = write_once(place, tmp_path / "second", "b" * 40, first)
    assert second.facts["version"] == "2.0.0"
    card = (tmp_path / "second/README.md").read_text(encoding="utf-8")
    assert f"`2.0.0`, after `1.0.0` (tag `{first.hash}`)" in card
    assert "- M1: 1 training rows lost\n- M1: 3 training rows gained\n" in card
    assert '"version": "2.0.0"' in (tmp_path / "second/croissant.json").read_text(encoding="utf-8")
    again = write_once(place, tmp_path / "again", "b" * 40, second)
    assert again.hash == second.hash


def write_once(place: Path, folder: Path, commit: str, previous: ReleaseManifest | None) -> ReleaseManifest:
    folder.mkdir()
    write_dataset(["M1"], "org/sums", Commit(commit, "2026-01-02", None), folder, place, previous=previous)
    written = read_release_manifest(folder / MANIFEST)
    assert written is not None
    return written


def test_rows_gained_and_lost_are_counted_by_their_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.audit.lineage import label_diff

    for name, ids in {"then": ["a", "b", "c"], "data/datasets/M1": ["b", "c", "d", "e"]}.items():
        (tmp_path / name).mkdir(parents=True)
        pl.DataFrame({"sample_id": ids}).write_parquet(tmp_path / name / "step_kto.parquet")
    monkeypatch.setattr(label_diff, "read_lock", lambda _, revision=None: revision)
    monkeypatch.setattr(label_diff, "_find_hashes", lambda lock, *_: {"dataset": ("data/datasets/M1", str(lock))})
    monkeypatch.setattr(label_diff, "find_cache", lambda _: None)
    monkeypatch.setattr(label_diff, "read_cached_listing", lambda *_: {"step_kto.parquet": "md5"})
    monkeypatch.setattr(label_diff, "find_cached_file", lambda *_: tmp_path / "then/step_kto.parquet")
    assert label_diff.compare_rows(tmp_path, "then", "M1") == (2, 1)


def test_a_dry_run_says_that_its_version_is_a_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(*arguments: Any, **options: Any) -> ReleaseManifest:
        assert options.get("previous") is None
        return ReleaseManifest("a" * 32, {}, ("M1",))

    for name in ("write_dataset", "write_model"):
        monkeypatch.setattr(commands, name, write)
    monkeypatch.setattr(commands, "require_publishable", lambda targets: None)
    commands.publish("org/sums", ["M1"], dry_run=tmp_path / "round")
    commands.publish("org/policy", model="M1", dry_run=tmp_path / "policy")
    of_round, version, of_policy = capsys.readouterr().out.splitlines()
    assert version == "version 1.0.0, of a first publication: a dry run does not read the version on the Hub"
    assert of_round.endswith(f"/round: 0 files, hash {'a' * 32}")
    assert of_policy.endswith(f"/policy: 0 files, hash {'a' * 32}")
