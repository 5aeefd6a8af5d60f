"""Records: the same rows give the same bytes, ids never change, what does not fit is refused, drops stay readable."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.policies import CARD, MANIFEST, read_policy, write_manifest
from stages.common.provenance import compute_sha256, hash_folder, hash_manifest
from stages.common.runs import describe_environment
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    SAMPLE,
    STEP,
    DropLog,
    content_hash,
    hash_sampling_params,
    list_shards,
    make_problem_id,
    make_sample_id,
    normalise_text,
    read_shard,
    read_table,
    replace_dir,
    seed_from,
    write_json,
    write_table,
)

anything = st.text(st.characters(codec=None), max_size=40)


def outcomes(rows: int) -> pl.DataFrame:
    """`rows` rows of the outcome table, with nulls, non-ASCII text and spread ids."""
    return pl.DataFrame(
        {
            "sample_id": [content_hash("s", n) for n in range(rows)],
            "problem_id": [content_hash("p", n // 3) for n in range(rows)],
            "answer": [None if n % 5 == 0 else f"\u00bd + {n} \\sqrt{{2}}\n" for n in range(rows)],
            "extraction_rule": [None if n % 5 == 0 else "box" for n in range(rows)],
            "is_correct": [[True, False, None][n % 3] for n in range(rows)],
            "reason": ["equal"] * rows,
            "verifier": ["g"] * rows,
        },
        schema=OUTCOME.schema,
    )


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_rows_in_any_order_give_the_same_bytes(tmp_path: Path, digits: int) -> None:
    frame = outcomes(500)
    write_table(tmp_path / "a", OUTCOME, frame, digits)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3).select(sorted(frame.columns))
    assert write_table(tmp_path / "b", OUTCOME, shuffled, digits) == 500
    assert hash_folder(tmp_path / "a") == hash_folder(tmp_path / "b")
    assert sorted(hash_folder(tmp_path / "a")) == [f"{name}.parquet" for name in list_shards(digits)]
    assert read_table(tmp_path / "a", OUTCOME, digits).equals(frame.sort(OUTCOME.key))


def test_more_rows_leave_the_other_shards_alone(tmp_path: Path) -> None:
    frame = outcomes(500)
    write_table(tmp_path / "a", OUTCOME, frame, 2)
    write_table(tmp_path / "b", OUTCOME, pl.concat([frame, outcomes(503)[500:]]), 2)
    a, b = hash_folder(tmp_path / "a"), hash_folder(tmp_path / "b")
    assert 1 <= sum(a[name] != b[name] for name in a) <= 2


def test_two_rows_under_one_key_are_refused(tmp_path: Path) -> None:
    frame = outcomes(4)
    with pytest.raises(ValueError, match=r"table outcome, shard all: two rows share a key"):
        write_table(tmp_path / "a", OUTCOME, pl.concat([frame, frame[:1]]), 0)


def test_rows_that_fit_no_shard_are_refused(tmp_path: Path) -> None:
    frame = outcomes(4).with_columns(problem_id=pl.lit("XYZ"))
    with pytest.raises(ValueError, match="4 rows have a problem_id that fits no shard"):
        write_table(tmp_path / "a", OUTCOME, frame, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("verifier"), r"missing columns \['verifier'\]"),
        (lambda f: f.with_columns(more=1), r"unexpected columns \['more'\]"),
        (lambda f: f.with_columns(reason=pl.lit(None, pl.String)), "column reason has 4 nulls and allows none"),
        (lambda f: f.with_columns(is_correct=pl.lit("maybe")), "column is_correct is no Boolean"),
    ],
)
def test_what_does_not_fit_the_table_is_refused_by_name(change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OUTCOME.check(change(outcomes(4)))


def test_reading_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"all\.parquet: no such shard of table outcome"):
        read_shard(tmp_path, OUTCOME, "all")
    (tmp_path / "all.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"all\.parquet"):
        read_shard(tmp_path, OUTCOME, "all")
    outcomes(3).drop("is_correct").write_parquet(tmp_path / "all.parquet")
    with pytest.raises(ValueError, match=r"all\.parquet: table outcome: missing columns \['is_correct'\]"):
        read_shard(tmp_path, OUTCOME, "all")


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    write_table(tmp_path, OUTCOME, outcomes(0), 1)
    assert read_table(tmp_path, OUTCOME, 1).schema == outcomes(3).schema


@pytest.mark.parametrize("table", [PROBLEM, SAMPLE, STEP, LABEL, OUTCOME], ids=lambda t: t.name)
def test_every_column_has_a_meaning_and_every_key_is_a_column(table: Any) -> None:
    assert all(len(column.meaning) > 10 for column in table.columns)
    assert set(table.key) <= set(table.schema)
    assert all("null" in column.meaning for column in table.columns if column.nullable)


def test_ids_never_change() -> None:
    """Golden values: a changed id would lose every journal and unlink every published row."""
    problem = make_problem_id("What is  $1+1$?\n", " 2 ")
    assert problem == "cf94eb47315aad1e424f9ea378fdcc3e"
    settings = hash_sampling_params({"temperature": 1.0, "max_tokens": 80, "prompt": {"chat": False}})
    assert settings == "f6b3a59d144d1aa6e99ed89f40089917"
    assert make_sample_id(problem, "policy", settings, 0, "Step 1: \u00e9\ud800") == "ecea326590e4859f7fb924e06fe5a570"
    assert seed_from(1, problem, 0) == 6309501773767671873
    assert hash_manifest({"b": "2", "a": "1"}) == "83cb77075e91c6ffc05c022f52e436a8"


@settings(max_examples=60)
@given(anything, anything)
def test_the_same_problem_has_the_same_id(text: str, answer: str) -> None:
    assert make_problem_id(text, answer) == make_problem_id(f"  {text}\n", answer.replace(" ", "\t \n"))
    assert make_problem_id(text, answer) != make_problem_id(f"{text} more", answer)
    assert normalise_text(normalise_text(text)) == normalise_text(text)


@settings(max_examples=60)
@given(st.lists(anything, min_size=2, max_size=4))
def test_hashes_tell_parts_apart(parts: list[str]) -> None:
    assert content_hash(*parts) != content_hash("".join(parts))
    assert content_hash(*parts) != content_hash(*parts, "")
    assert content_hash({"a": parts, "b": 1}) == content_hash({"b": 1, "a": parts})
    assert 0 <= seed_from(*parts) < 2**63


@pytest.mark.parametrize(("part", "error"), [(float("nan"), ValueError), (object(), TypeError), (b"x", TypeError)])
def test_what_has_no_hash_is_refused(part: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        content_hash(part)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), anything | st.integers() | st.none()), max_size=60))
def test_drops_are_counted_bounded_and_writable(dropped: list[tuple[str, Any]]) -> None:
    log = DropLog()
    for number, (reason, text) in enumerate(dropped):
        log.drop(reason, f"row {number} of {text}", text)
    report = log.report()
    json.dumps(report, ensure_ascii=False).encode("utf-8")
    assert log.total == len(dropped) == sum(entry["rows"] for entry in report.values())
    assert list(report) == sorted(report)
    for reason, entry in report.items():
        assert entry["rows"] == sum(other == reason for other, _ in dropped)
        assert len(entry["examples"]) == min(entry["rows"], 10)


def test_a_huge_dropped_row_leaves_an_excerpt() -> None:
    log = DropLog()
    log.drop("too long", "x" * 10_000_000, "y" * 10_000_000)
    assert len(json.dumps(log.report())) < 1000


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with replace_dir(out) as folder:
        (folder / "a").write_text("1", encoding="utf-8")
        assert not out.exists()

    def fail() -> None:
        with replace_dir(out) as folder:
            (folder / "b").write_text("2", encoding="utf-8")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["a"]


def test_json_is_sorted_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "\u00e9", "a": [1, None]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": [\n  1,\n  null\n ],\n "b": "\u00e9"\n}\n'
    for value in ({"a": float("nan")}, {"a": "\ud800"}):
        with pytest.raises(ValueError, match=r"JSON|utf-8"):
            write_json(tmp_path / "a.json", value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("kind", ["fifo", "link to nowhere", "other kind"])
def test_only_a_file_or_folder_is_replaced_by_one(tmp_path: Path, kind: str) -> None:
    def write_folder(path: Path) -> None:
        with replace_dir(path):
            pass

    def occupy(path: Path) -> Path:
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link to nowhere":
            path.symlink_to("nowhere")
        else:
            path.mkdir() if path.name == "file" else path.touch()
        return path

    with pytest.raises(UserError, match="/file: this is no regular file; name another output, or remove it first"):
        write_json(occupy(tmp_path / "file"), {})
    with pytest.raises(UserError, match="/folder: this is no folder; name another output, or remove it first"):
        write_folder(occupy(tmp_path / "folder"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"], "nothing is left beside them"


def test_a_link_to_a_file_is_replaced_and_its_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "cached.json").write_text("{}", encoding="utf-8")
    (tmp_path / "out.json").symlink_to("cached.json")
    write_json(tmp_path / "out.json", {"a": 1})
    assert not (tmp_path / "out.json").is_symlink()
    assert (tmp_path / "cached.json").read_text(encoding="utf-8") == "{}"


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    (tmp_path / f".out.{done.pid}.x1").mkdir()
    (tmp_path / f".out.{done.pid}.x1" / "half").touch()
    (tmp_path / f".a.json.{done.pid}").touch()
    others = [f".out.{os.getpid()}.x2", f".other.{done.pid}.x3", ".out.notes"]
    for name in others:
        (tmp_path / name).touch()
    with replace_dir(tmp_path / "out"):
        pass
    write_json(tmp_path / "a.json", {})
    assert {path.name for path in tmp_path.iterdir()} == {"out", "a.json", *others}


def make_policy(folder: Path, made_from: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / CARD).write_text(f"Made from {made_from}.", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(random.Random(0).randbytes(100))
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    write_manifest(folder, made_from)
    return folder


def test_equal_weights_are_an_equal_policy(tmp_path: Path) -> None:
    a = read_policy(make_policy(tmp_path / "a", {"seed": 1}))
    b = read_policy(make_policy(tmp_path / "b", {"seed": 2}))
    assert a.hash == b.hash
    assert (a.source, a.repo, a.revision) == (str(tmp_path / "a"), None, None)
    manifest = json.loads((tmp_path / "a" / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["files"] == {
        name: compute_sha256(tmp_path / "a" / name) for name in (CARD, "model.safetensors", "tokenizer.json")
    }
    (tmp_path / "b" / "tokenizer.json").write_text("{ }", encoding="utf-8")
    write_manifest(tmp_path / "b", {})
    assert read_policy(tmp_path / "b").hash != a.hash


def test_a_hub_policy_is_named_by_its_files(tmp_path: Path) -> None:
    write_manifest(tmp_path / "h", {}, hub=("org/model", "0" * 40, {"model.safetensors": "ab"}))
    policy = read_policy(tmp_path / "h")
    assert (policy.source, policy.revision) == ("org/model", "0" * 40)
    assert policy.hash == hash_manifest({"model.safetensors": "ab"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a policy manifest"),
        ("[]", "not a policy manifest"),
        ('{"hash": "x", "repo": null, "revision": null}', "not a policy manifest"),
        ('{"hash": "x", "repo": null, "revision": null, "files": {"a": "b"}}', "hash does not belong"),
    ],
)
def test_a_manifest_that_is_none_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{MANIFEST}: {said}"):
        read_policy(tmp_path)


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.json: missing"):
        read_policy(tmp_path)


def test_the_environment_names_what_can_change_a_result() -> None:
    packages = describe_environment()["packages"]
    assert {"torch", "transformers", "trl", "polars", "mpmath", "sympy"} <= set(packages)
    assert not any("/" in version for version in packages.values())
