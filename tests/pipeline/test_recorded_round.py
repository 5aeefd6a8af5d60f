"""A whole round on real text: recorded solutions of MATH problems become a KTO data set, without any model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest
import yaml

from stages.common.provenance import compute_sha256
from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, SELECTION, STEP, make_problem_id, read_table
from stages.select import keep_selected
from tests.support.clones import clone, edit, run
from tools.audit import verify

pytestmark = pytest.mark.slow

RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"), "recorded/math_100x8.jsonl")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not RECORDED.exists():
        pytest.skip(f"{RECORDED}: real data not here")
    target = tmp_path_factory.mktemp("recorded")
    clone(target, "recorded-math")
    edit(target, "problems", "files", "paths", [str(RECORDED.resolve())])
    edit(target, "sample", "engine", "recorded", "path", str(RECORDED.resolve()))
    few = target / "few.jsonl"
    few.write_text("".join(RECORDED.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    edit(
        target,
        "evaluate",
        "benchmarks",
        {"few": {"hub": None, "file": {"path": few.name, "sha256": compute_sha256(few)}}},
    )
    judge = yaml.safe_load((target / "params.yaml").read_text(encoding="utf-8"))["judge"]
    edit(target, "evaluate", "judge", judge | {"kind": "arithmetic"})  # another than the round's
    run(target, "dvc", "repro")
    return target


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def test_every_problem_and_solution_is_there(place: Path, rows: list[dict[str, object]]) -> None:
    problems = read_table(place / "data/problems", PROBLEM, 0)
    samples = read_table(place / "data/samples/M1", SAMPLE, 0)
    assert set(problems["problem_id"]) == {make_problem_id(str(row["problem"]), str(row["answer"])) for row in rows}
    assert sorted(samples["completion"]) == sorted(text for row in rows for text in row["solutions"])  # type: ignore[attr-defined]


def test_steps_join_to_their_sample(place: Path) -> None:
    selection = read_table(place / "data/selections/M1", SELECTION, 0)
    kept = keep_selected(read_table(place / "data/samples/M1", SAMPLE, 0), selection)
    samples = dict(kept.select("sample_id", "completion").iter_rows())
    steps = read_table(place / "data/steps/M1", STEP, 0).sort("sample_id", "step")
    joined: dict[str, str] = {}
    for sample, start, end in steps.select("sample_id", "start", "end").iter_rows():
        joined[sample] = joined.get(sample, "") + samples[sample][start:end]
    assert joined == samples
    assert steps.height > 3 * len(samples)


def test_outcomes_are_those_recorded(place: Path, rows: list[dict[str, object]]) -> None:
    texts = dict(read_table(place / "data/samples/M1", SAMPLE, 0).select("sample_id", "completion").iter_rows())
    outcomes = read_table(place / "data/outcomes/M1", OUTCOME, 0)
    found = {
        (row[0], texts[row[1]]): row[2] for row in outcomes.select("problem_id", "sample_id", "is_correct").iter_rows()
    }
    recorded = {
        (make_problem_id(str(row["problem"]), str(row["answer"])), text): bool(correct)
        for row in rows
        for text, correct in zip(row["solutions"], row["recorded_correct"], strict=True)  # type: ignore[call-overload]
    }
    assert sum(found[key] is (not value) for key, value in recorded.items()) <= 2
    # One problem's gold answer is cut off, 4:30p.., so nothing is known of its eight completions.
    assert sum(found[key] is None for key in recorded) <= 8


def test_the_data_set_holds_the_paper_s_selection(place: Path) -> None:
    kto = pl.read_parquet(place / "data/datasets/M1/kto.parquet")
    texts = set(read_table(place / "data/samples/M1", SAMPLE, 0)["completion"])
    assert kto.height >= 20
    assert set(kto["completion"]) <= texts
    assert kto["label"].sum() * 2 == kto.height
    assert kto.group_by("prompt", "label").len()["len"].max() <= 2  # type: ignore[operator]
    report = json.loads((place / "reports/stages/select/M1.json").read_text(encoding="utf-8"))
    assert kto.height == report["selected"] == 38
    assert kto.height + sum(drop["rows"] for drop in report["drops"].values()) == 800
    assert report["drops"]["problem lacks a correct or an incorrect sample"]["rows"] > 500
    assert set(read_table(place / "data/labels/M1", LABEL, 0)["label"]) == {None}


def test_only_what_is_kept_is_judged(place: Path) -> None:
    split, judge = (
        json.loads((place / f"reports/stages/{stage}/M1.json").read_text(encoding="utf-8"))
        for stage in ("split", "judge")
    )
    assert (split["samples"], split["scope"]) == (38, "selected")
    assert judge["steps"] == split["steps"]
    quality = json.loads((place / "reports/stages/dataset/M1.json").read_text(encoding="utf-8"))["quality"]
    assert quality["completions"] == 38


def test_nothing_is_trained_and_the_recorded_solutions_are_measured(place: Path) -> None:
    start, end = (json.loads((place / f"models/{name}/manifest.json").read_text()) for name in ("M0", "M1"))
    assert start["hash"] == end["hash"]
    for name in ("M0", "M1"):
        metrics = json.loads((place / f"reports/stages/evaluate/{name}.json").read_text(encoding="utf-8"))["metrics"]
        found = {it: metrics[it]["numerator"] for it in ("avg_at_8", "pass_at_8", "maj_at_8")}
        assert found == {"avg_at_8": 729, "pass_at_8": 97, "maj_at_8": 93}
        assert "pass_at_1" not in metrics  # nothing is drawn, hence nothing greedily
    assert "Recorded MATH completions" in (place / "reports/index.html").read_text(encoding="utf-8")


def test_the_audit_makes_all_of_it_again(place: Path) -> None:
    results = verify(place, num_workers=2)
    assert {check: result.errors for check, result in results.by_check.items() if result.num_broken} == {}
    assert results.by_check["samples"].num_checked == 3 * 800 + 2 * 24
