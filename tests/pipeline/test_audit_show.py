"""Following a label back to what made it, and saying what changed: a run of the smoke recipe."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.provenance import compute_sha256
from stages.common.tables import LABEL, OUTCOME, REPLY, SAMPLE, SELECTION, STEP, read_table, write_table
from stages.common.text import indent_for_terminal, shorten_for_terminal
from tests.support.clones import edit, run
from tools.audit.lineage.id_lookup import find_id
from tools.audit.lineage.label_diff import diff
from tools.audit.lineage.published_row import show_row
from tools.audit.lineage.show import show


@pytest.fixture(scope="module")
def row(smoke: Path) -> dict[str, Any]:
    """A row of the data set."""
    return pl.read_parquet(smoke / "data/datasets/M1/step_kto.parquet").row(5, named=True)


def test_the_whole_chain(smoke: Path, row: dict[str, Any]) -> None:
    identity = row["sample_id"]
    text = "\n".join(show(smoke, identity[:12]))
    sample = read_table(smoke / "data/samples/M1", SAMPLE, 0).row(
        by_predicate=pl.col("sample_id") == identity, named=True
    )
    outcome = read_table(smoke / "data/outcomes/M1", OUTCOME, 0).row(
        by_predicate=pl.col("sample_id") == identity, named=True
    )
    judged = read_table(smoke / "data/labels/M1", LABEL, 0).filter(pl.col("sample_id") == identity)
    for part in (
        identity,
        f"problem   {row['problem_id']}  train, source toy_arithmetic",
        "from toy_arithmetic train seed:1 row ",
        f"policy    {sample['policy']}  models/M0, made from kind toy_arithmetic",
        f"index {sample['sample_index']}, seed {sample['seed']}",
        f"sampling_hash {sample['sampling_hash']}",
        f"judge     {judged['judge'][0]}  kind toy_arithmetic",
        f"compared by {outcome['reason']}",
        f"verifier {outcome['verifier']}",
        "selection kept: rank ",
        "data/datasets/M1/kto.parquet row 5",
        "data/datasets/M1/step_kto.parquet row 5",
        f"sha256 {compute_sha256(smoke / 'data/labels/M1/all.parquet')}",
        "as its manifest says",
        "as dvc.lock says; written by judge@M1",
        "ran with  polars ",
        f"commit    {run(smoke, 'git', 'log', '-n1', '--format=%h %cs run').strip()}",
    ):
        assert part in text, part
    steps = [line for line in text.splitlines() if line.startswith("step ")]
    assert len(steps) == judged.height == len(row["steps"])
    assert all(reason in line for reason, line in zip(judged["reason"], steps, strict=True))
    assert len(text.splitlines()) < 60  # one screen


def test_an_id_is_found_by_its_beginning(smoke: Path, row: dict[str, Any]) -> None:
    assert find_id(smoke, row["sample_id"][:16].upper()).kind == "sample"
    assert find_id(smoke, row["problem_id"]).kind == "problem"
    with pytest.raises(ValueError, match="zzz: no problem, sample, policy or dataset has an id that begins so"):
        find_id(smoke, "zzz")
    with pytest.raises(ValueError, match=r"(?s): \d+ ids begin so:\n  (sample|problem|policy|dataset) [0-9a-f]{32}"):
        find_id(smoke, "")


def test_a_problem_a_policy_and_a_data_set(smoke: Path, row: dict[str, Any]) -> None:
    problem = show(smoke, row["problem_id"])
    assert sum(line.startswith("sample ") for line in problem) == 4
    policy = find_id(smoke, read_table(smoke / "data/samples/M1", SAMPLE, 0)["policy"][0])
    assert (policy.kind, policy.folder) == ("policy", Path("models/M0"))
    made = "\n".join(show(smoke, policy.id))
    assert "stage     seed_model: python -m stages.seed_model" in made
    assert "model.safetensors" in made
    manifest = find_id(smoke, _hash(smoke / "data/datasets/M1/manifest.json"))
    assert "dataset.kl_block_size 32" in "\n".join(show(smoke, manifest.id))


def _hash(path: Path) -> str:
    return str(pl.read_json(path)["hash"][0])


def test_a_row_of_a_published_file(smoke: Path, row: dict[str, Any], tmp_path: Path) -> None:
    published = tmp_path / "train.parquet"
    rows = pl.read_parquet(smoke / "data/datasets/M1/step_kto.parquet")
    rows.write_parquet(published)
    rows.drop("steps").write_ndjson(tmp_path / "train.jsonl")
    for path in (published, tmp_path / "train.jsonl", smoke / "data/datasets/M1/step_kto.parquet"):
        text = "\n".join(show_row(smoke, path, 5))
        assert text.startswith(f"{path} row 5, sha256 of the file {compute_sha256(path)}")
        assert f"sample    {row['sample_id']}" in text
    problem = show_row(smoke, smoke / "data/problems/all.parquet", 3)
    assert any(line.startswith("gold ") for line in problem)
    with pytest.raises(ValueError, match=rf"has {rows.height} rows, counted from 0; no row 100000"):
        show_row(smoke, published, 100_000)
    with pytest.raises(ValueError, match="rows are counted from 0"):
        show_row(smoke, published, -1)
    with pytest.raises(UserError, match="no such file"):
        show_row(smoke, tmp_path / "other.parquet", 0)
    rows.select("label").write_parquet(published)
    with pytest.raises(ValueError, match="neither sample_id, chosen_sample_id, rejected_sample_id nor problem_id"):
        show_row(smoke, published, 0)
    published.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match="parquet"):
        show_row(smoke, published, 0)


def test_a_row_of_pairs_is_followed_to_both_samples(smoke: Path, row: dict[str, Any], tmp_path: Path) -> None:
    samples = read_table(smoke / "data/samples/M1", SAMPLE, 0)["sample_id"]
    other = next(sample for sample in samples if sample != row["sample_id"])
    pair = {"problem_id": row["problem_id"], "chosen_sample_id": row["sample_id"], "rejected_sample_id": other}
    pl.DataFrame([pair]).write_parquet(tmp_path / "pairs.parquet")
    lines = show_row(smoke, tmp_path / "pairs.parquet", 0)
    chosen, rejected = lines.index("chosen_sample_id"), lines.index("rejected_sample_id")
    assert any(line.startswith(f"sample    {row['sample_id']}") for line in lines[chosen:rejected])
    assert any(line.startswith(f"sample    {other}") for line in lines[rejected:])
    assert lines[-1] != ""


def test_a_row_is_followed_in_the_round_that_it_names(smoke: Path, row: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    for name in ("M1", "elsewhere"):
        pl.DataFrame([{"round": name, "sample_id": row["sample_id"]}]).write_parquet(path)
        if name == "M1":
            assert "in        M1" in show_row(smoke, path, 0)
    with pytest.raises(ValueError, match="not in elsewhere; it is in M1"):
        show_row(smoke, path, 0)


def test_a_dropped_sample_says_why_and_a_changed_file_that_it_changed(smoke: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(smoke, place, symlinks=True)
    identity = read_table(place / "data/selections/M1", SELECTION, 0).drop_nulls("drop_reason")["sample_id"][0]
    outcomes = read_table(place / "data/outcomes/M1", OUTCOME, 0)
    write_table(place / "data/outcomes/M1", OUTCOME, outcomes.with_columns(reason=pl.lit("another")), 0)
    text = "\n".join(show(place, identity))
    assert "selection dropped: outcome unknown" in text
    assert "judge     not judged: only selected samples are (judge.scope)" in text
    assert "\nstep " not in text
    assert "verdict   unknown: " in text
    assert "; dvc.lock says " in text


def test_raw_replies_are_shown_and_nothing_in_them_is_obeyed(smoke: Path, row: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(smoke, place, symlinks=True)
    cells: dict[str, Any] = dict.fromkeys(REPLY.schema)
    cells |= {"sample_id": row["sample_id"], "problem_id": row["problem_id"], "judge_index": 0, "step": -1, "vote": 2}
    cells |= {"attempt": 1, "request_hash": "c" * 32, "text": "I say\n\x1b[31mred\x1b[0m \u202e<script>"}
    cells |= {"error": "it was not JSON", "model": "some/judge"}
    write_table(place / "data/labels/M1/replies", REPLY, pl.DataFrame([cells], schema=REPLY.schema), 0)
    text = "\n".join(show(place, row["sample_id"]))
    assert "reply     judge 0, all steps, vote 2, attempt 1: some/judge; invalid: it was not JSON" in text
    assert "| \\x1b[31mred\\x1b[0m \\u202e<script>" in text
    assert "\x1b" not in text
    assert "data/labels/M1/replies/all.parquet" in text


@given(st.text(max_size=200), st.integers(1, 50))
def test_shown_text_is_bounded_and_has_no_control_characters(text: str, limit: int) -> None:
    for line in [shorten_for_terminal(text, limit), *indent_for_terminal(text, limit, "| ")]:
        assert line.isprintable() or all(character.isprintable() or character.isspace() for character in line)
        assert not set(line) & {"\n", "\r", "\x1b", "\x85", "\u2028", "\u202e"}
        assert len(line) <= 10 * limit + 40


@pytest.fixture(scope="module")
def changed(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the judge was changed and run again, in a further round as well."""
    place = tmp_path_factory.mktemp("changed") / "clone"
    shutil.copytree(smoke, place, symlinks=True)
    edit(place, "judge", "label_noise", 0.3)
    run(place, "dvc", "repro", "dataset@M1")
    return place


def test_labels_that_changed_because_of_the_judge(smoke: Path, changed: Path) -> None:
    before = read_table(smoke / "data/labels/M1", LABEL, 0)
    after = read_table(changed / "data/labels/M1", LABEL, 0)
    turned = (before["label"] != after["label"]).sum()
    assert turned > 0
    lines = diff(changed, "HEAD")
    assert lines[0] == f"M1    labels of steps: {turned} changed ({before.height} then, {after.height} now)"
    assert lines[1].startswith(f"      because of judge@M1: {turned} (")
    assert lines[2] == "        judge@M1: judge.label_noise 0.0 -> 0.3"
    assert lines[3].startswith("        for example sample ")
    assert lines[-1] == "M1    verdicts: the same"
    assert diff(smoke, "HEAD") == ["M1    labels of steps: the same", "M1    verdicts: the same"]


@pytest.mark.slow
def test_labels_that_changed_because_of_stages_before_the_judge(changed: Path) -> None:
    edit(changed, "judge", "label_noise", 0.0)
    edit(changed, "split", "max_steps", 2)
    edit(changed, "sample", "num_samples", 3)
    run(changed, "dvc", "repro", "dataset@M1")
    lines = diff(changed, "HEAD")
    blamed = [line.split(": ")[0].split()[-1] for line in lines if "because of" in line]
    assert blamed == ["sample@M1", "split@M1", "sample@M1"]
    assert "        split@M1: split.max_steps 64 -> 2" in lines
    assert lines.count("        sample@M1: sample.num_samples 4 -> 3") == 2
    assert "32 changed (128 then, 96 now)" in "\n".join(lines)
    assert any("-> none" in line for line in lines)


@pytest.mark.slow
def test_labels_that_changed_because_of_the_selection(smoke: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(smoke, place, symlinks=True)
    edit(place, "select", "max_incorrect", 1)
    run(place, "dvc", "repro", "judge@M1")
    text = "\n".join(diff(place, "HEAD"))
    assert "because of select@M1: " in text
    assert "because of sample@M1" not in text
    assert "select@M1: select.max_incorrect None -> 1" in text
    assert "-> none" in text
    assert "M1    verdicts: the same" in text


def test_what_cannot_be_compared_is_said(smoke: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(smoke, place, symlinks=True)
    edit(place, "judge", "label_noise", 0.3)
    run(place, "dvc", "repro", "judge@M1")
    shutil.rmtree(place / ".dvc/cache")
    assert "not compared: the old data/selections/M1" in diff(place, "HEAD")[0]
    with pytest.raises(ValueError, match="nothing: names no commit"):
        diff(place, "nothing")
    with pytest.raises(ValueError, match=r"HEAD~1: has no dvc\.lock"):
        diff(place, "HEAD~1")


def test_the_commands(smoke: Path, row: dict[str, Any]) -> None:
    def audit(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.cli", "audit", *words]
        return subprocess.run(command, cwd=smoke, text=True, capture_output=True, check=False)

    assert row["sample_id"] in audit("show", row["sample_id"]).stdout
    assert row["sample_id"] in audit("row", "data/datasets/M1/kto.parquet", "5").stdout
    assert audit("diff", "HEAD").stdout.startswith("M1    labels of steps: the same")
    fine = audit("verify", "--only", "steps", "--num-workers", "2")  # test_audit.py has them all
    assert (fine.returncode, fine.stdout.count("BROKEN")) == (0, 0), fine.stdout + fine.stderr
    steps = smoke / "data/steps/M1/all.parquet"
    before = steps.read_bytes()
    write_table(steps.parent, STEP, read_table(steps.parent, STEP, 0)[1:], 0)
    broken = audit("verify", "--only", "steps", "--num-workers", "2")
    steps.write_bytes(before)
    assert broken.returncode == 1
    assert "steps      BROKEN" in broken.stdout
    unknown = audit("show", "zzz")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("error: zzz: no problem")
