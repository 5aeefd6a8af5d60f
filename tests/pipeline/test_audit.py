"""Verifying a run of the smoke recipe: nothing is broken, and whatever is tampered with is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    SAMPLE,
    SELECTION,
    STEP,
    Table,
    make_sample_id,
    read_table,
    write_table,
)
from tools.audit import CHECKS, CheckResults, verify
from tools.dvc_lock import LockEntry, parse_lock

Named = dict[str, list[str]]
"""The broken rows named, by check."""


OF_ROWS = frozenset(CHECKS) - {"reports"}
"""Checks for tampering with rows, of which reports then count others."""

STATED = OF_ROWS - {"verdicts"}
"""Checks for tampering that no verdict depends on: the algebra behind those takes a process of its own to start."""


def named(results: CheckResults) -> Named:
    return {check: result.errors for check, result in results.by_check.items() if result.num_broken}


@contextmanager
def tampered(*paths: Path) -> Iterator[None]:
    """Put the files back afterwards."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


Change = Callable[[pl.DataFrame], pl.DataFrame]


def after_change(place: Path, folder: str, table: Table, change: Change) -> Named:
    """What verify names once `change` was made to a table; the file's hash is always among it."""
    with tampered(place / folder / "all.parquet"):
        write_table(place / folder, table, change(read_table(place / folder, table, 0)), 0)
        found = named(verify(place, checks=STATED if table in (STEP, LABEL) else OF_ROWS))
    assert [f"{folder}/all.parquet" in line for line in found.pop("files")] == [True]
    return found


def set_cells(row: int, **values: Any) -> Change:
    """Set cells of one row."""
    here = pl.int_range(pl.len()) == row

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        cells = [pl.lit(value, frame.schema[name]).alias(name) for name, value in values.items()]
        return frame.with_columns(
            pl.when(here).then(cell).otherwise(pl.col(cell.meta.output_name())).alias(cell.meta.output_name())
            for cell in cells
        )

    return change


def kept(place: Path, table: Table, folder: str, **where: Any) -> tuple[int, dict[str, Any]]:
    """The first row with these cells whose sample is in the data set, and its number."""
    samples = set(pl.read_parquet(place / "data/datasets/M1/kto.parquet")["sample_id"])
    for number, row in enumerate(read_table(place / folder, table, 0).iter_rows(named=True)):
        if row["sample_id"] in samples and where.items() <= row.items():
            return number, row
    raise AssertionError(f"{folder}: no row with {where}")


def test_nothing_is_broken(smoke: Path) -> None:
    results = verify(smoke, num_workers=2)
    assert named(results) == {}
    assert not results.is_broken
    assert list(results.by_check) == list(CHECKS)

    def rows(pattern: str) -> int:
        return sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in smoke.glob(pattern))

    samples, problems = rows("data/**/samples/**/*.parquet"), rows("data/**/problems/*.parquet")
    assert results.by_check["samples"].num_checked == results.by_check["verdicts"].num_checked == samples > 128
    assert (
        results.by_check["problems"].num_checked == problems > rows("data/problems/*.parquet")
    )  # those of the benchmark
    assert all(result.num_checked for result in results.by_check.values())


def test_a_label(smoke: Path) -> None:
    row, step = kept(smoke, LABEL, "data/labels/M1", label=True)
    found = after_change(smoke, "data/labels/M1", LABEL, set_cells(row, label=False))
    (line,) = found["labels"]
    assert line.startswith(
        f"data/labels/M1/all.parquet: sample {step['sample_id']} step {step['step']}: label is False"
    )
    assert "the rule gives True" in line
    assert [step["sample_id"] in line for line in found["kto"]] == [True]  # only step_kto.parquet holds labels of steps
    assert found.keys() == {"labels", "kto", "selection"}  # the data set's counts no longer follow
    counts = re.compile(r"manifest\.json: (?:labels|weights|pairs|warnings) is")
    assert [line for line in found["selection"] if not counts.search(line)] == []


def test_a_label_of_a_benchmark(smoke: Path) -> None:
    folder = "data/evaluations/M1/benchmarks/three/labels"
    label = read_table(smoke / folder, LABEL, 0).row(0, named=True)
    found = after_change(smoke, folder, LABEL, set_cells(0, label=not label["label"]))
    assert found.keys() == {"labels"}
    assert f"{folder}/all.parquet: sample {label['sample_id']} step {label['step']}" in found["labels"][0]


def test_a_vote_of_a_benchmark(smoke: Path) -> None:
    folder = "data/evaluations/M0/benchmarks/three/majority/samples"
    found = after_change(smoke, folder, SAMPLE, set_cells(2, completion="another"))
    assert found.keys() == {"samples", "verdicts"}


def test_a_reason(smoke: Path) -> None:
    found = after_change(smoke, "data/labels/M1", LABEL, set_cells(3, reason="because"))
    assert found.keys() == {"labels"}
    assert "reason is 'because'" in found["labels"][0]


def test_a_label_too_many_and_one_too_few(smoke: Path) -> None:
    gone = read_table(smoke / "data/labels/M1", LABEL, 0).row(5, named=True)
    found = after_change(smoke, "data/labels/M1", LABEL, lambda judged: judged.filter(pl.int_range(pl.len()) != 5))
    (line,) = found["labels"]
    assert line.startswith(
        f"data/labels/M1/all.parquet: sample {gone['sample_id']} step {gone['step']}: row is missing"
    )
    found = after_change(smoke, "data/labels/M1", LABEL, set_cells(5, step=63))
    assert {line.split(": ")[2].split(";")[0] for line in found["labels"]} == {"row is missing", "row should not be"}


def test_a_span(smoke: Path) -> None:
    row, step = kept(smoke, STEP, "data/steps/M1", step=0)
    found = after_change(smoke, "data/steps/M1", STEP, set_cells(row, end=step["end"] - 1))
    (line,) = found["steps"]
    assert step["sample_id"] in line
    assert "without gap" in line


def test_a_span_that_still_joins_to_the_text(smoke: Path) -> None:
    row, step = kept(smoke, STEP, "data/steps/M1", step=1)
    both = lambda frame: set_cells(row - 1, end=step["start"] - 1)(set_cells(row, start=step["start"] - 1)(frame))  # noqa: E731
    lines = after_change(smoke, "data/steps/M1", STEP, both)["steps"]
    assert [line.split(": ")[1] for line in lines] == [f"sample {step['sample_id']} step {number}" for number in (0, 1)]
    assert all("the splitter gives" in line for line in lines)


def test_an_orphan(smoke: Path) -> None:
    lone = {"sample_id": "f" * 32, "problem_id": "0" * 32, "step": 0, "start": 0, "end": 4}
    add = lambda steps: pl.concat([steps, pl.DataFrame([lone], schema=STEP.schema)])  # noqa: E731
    found = after_change(smoke, "data/steps/M1", STEP, add)
    assert found == {"steps": [f"data/steps/M1/all.parquet: sample {'f' * 32} step 0: orphan: there is no such sample"]}


def test_a_sample_text(smoke: Path) -> None:
    row, sample = kept(smoke, SAMPLE, "data/samples/M1")
    found = after_change(smoke, "data/samples/M1", SAMPLE, set_cells(row, completion=sample["completion"] + "."))
    by_id, by_tokens = found["samples"]
    assert f"sample {sample['sample_id']} of problem {sample['problem_id']}: sample_id is" in by_id
    assert f"sample {sample['sample_id']}: token ids do not spell the completion" in by_tokens


def test_token_ids(smoke: Path) -> None:
    row, sample = kept(smoke, SAMPLE, "data/samples/M1")
    others = [*sample["completion_ids"][1:], 10**9]
    found = after_change(smoke, "data/samples/M1", SAMPLE, set_cells(row, completion_ids=others))
    assert found["samples"] == [
        f"data/samples/M1/all.parquet: sample {sample['sample_id']}: token ids do not spell the completion"
    ]
    assert len(found["kto"]) == 2
    found = after_change(smoke, "data/samples/M1", SAMPLE, set_cells(row, tokenizer="another"))
    assert f"tokenizer is another; the policy's is {sample['tokenizer']}" in found["samples"][0]


def test_rows_swapped_between_problems(smoke: Path) -> None:
    samples = read_table(smoke / "data/samples/M1", SAMPLE, 0)
    other = next(row for row in range(samples.height) if samples["problem_id"][row] != samples["problem_id"][0])
    swap = lambda frame: set_cells(0, problem_id=frame["problem_id"][other])(  # noqa: E731
        set_cells(other, problem_id=frame["problem_id"][0])(frame)
    )
    found = after_change(smoke, "data/samples/M1", SAMPLE, swap)
    wrong = [line for line in found["samples"] if "sample_id is" in line]
    assert sorted(line.split()[2] for line in wrong) == sorted(samples["sample_id"][[0, other]])


def test_a_sample_taken_away_with_all_that_came_of_it(smoke: Path) -> None:
    _, sample = kept(smoke, SAMPLE, "data/samples/M1", sample_index=2)
    tables = {"samples": SAMPLE, "outcomes": OUTCOME, "selections": SELECTION, "steps": STEP, "labels": LABEL}
    with tampered(*(smoke / f"data/{name}/M1/all.parquet" for name in tables)):
        for name, table in tables.items():
            rows = read_table(smoke / f"data/{name}/M1", table, 0).filter(pl.col("sample_id") != sample["sample_id"])
            write_table(smoke / f"data/{name}/M1", table, rows, 0)
        found = named(verify(smoke))
    where = f"data/samples/M1/all.parquet: problem {sample['problem_id']}"
    assert found["samples"] == [f"{where}: samples with index [2] are missing"]
    assert len(found["files"]) == 5


def test_a_problem_that_nobody_was_to_sample(smoke: Path) -> None:
    samples = read_table(smoke / "data/samples/M1", SAMPLE, 0)
    problems = read_table(smoke / "data/problems", PROBLEM, 0).filter(pl.col("split") == "train")
    other = next(problem for problem in problems["problem_id"] if problem not in set(samples["problem_id"]))
    moved = samples.row(0, named=True) | {"problem_id": other}
    moved["sample_id"] = make_sample_id(
        other, moved["policy"], moved["sampling_hash"], moved["sample_index"], moved["completion"]
    )
    add = lambda frame: pl.concat([frame, pl.DataFrame([moved], schema=SAMPLE.schema)])  # noqa: E731
    found = after_change(smoke, "data/samples/M1", SAMPLE, add)
    assert any(f"problem {other}: is not among the train problems to sample" in line for line in found["samples"])


def test_a_verdict(smoke: Path) -> None:
    row, outcome = kept(smoke, OUTCOME, "data/outcomes/M1", is_correct=False)
    found = after_change(smoke, "data/outcomes/M1", OUTCOME, set_cells(row, is_correct=True))
    (line,) = found["verdicts"]
    assert line.startswith(f"data/outcomes/M1/all.parquet: sample {outcome['sample_id']}: is_correct is True")
    assert len(found["kto"]) == 2
    where = f"data/selections/M1/all.parquet: sample {outcome['sample_id']}: "
    assert any(line.startswith(where) for line in found["selection"]), "ranks are those among samples with its verdict"


def test_a_selection(smoke: Path) -> None:
    row, sample = kept(smoke, SELECTION, "data/selections/M1", rank=0)
    where = f"data/selections/M1/all.parquet: sample {sample['sample_id']}: "
    drop = set_cells(row, rank=None, drop_reason="balance of correct and incorrect")
    found = after_change(smoke, "data/selections/M1", SELECTION, drop)
    assert f"{where}rank is None, the rule gives 0; drop_reason is 'balance of" in found["selection"][0]
    assert any(f"sample {sample['sample_id']}: should not be; the selection drops it" in x for x in found["selection"])
    assert all("row should not be; the splitter gives none" in line for line in found["steps"])
    assert found.keys() == {"selection", "steps"}
    found = after_change(smoke, "data/selections/M1", SELECTION, set_cells(row, rank=1))
    assert found == {"selection": [f"{where}rank is 1, the rule gives 0"]}
    found = after_change(
        smoke, "data/selections/M1", SELECTION, lambda rows: rows.filter(pl.int_range(pl.len()) != row)
    )
    assert f"{where}row is missing; the rule gives one" in found["selection"]


def test_a_sample_that_is_not_selected_has_no_steps_and_nothing_is_broken(smoke: Path) -> None:
    selection = read_table(smoke / "data/selections/M1", SELECTION, 0)
    dropped = set(selection.drop_nulls("drop_reason")["sample_id"])
    assert dropped, "the smoke recipe drops samples of unknown outcome"
    assert not dropped & set(read_table(smoke / "data/steps/M1", STEP, 0)["sample_id"])
    assert read_table(smoke / "data/samples/M1", SAMPLE, 0).height == selection.height


def test_a_gold_answer(smoke: Path) -> None:
    row = read_table(smoke / "data/problems", PROBLEM, 0).row(7, named=True)
    found = after_change(smoke, "data/problems", PROBLEM, set_cells(7, answer="123"))
    (line,) = found["problems"]
    assert line.startswith(f"data/problems/all.parquet: problem {row['problem_id']}: text and answer give id")


def test_an_evaluation(smoke: Path) -> None:
    folder = "data/evaluations/M1/labels"
    found = after_change(smoke, folder, LABEL, set_cells(0, reason="because"))
    assert [line.split(": ")[0] for line in found["labels"]] == [f"{folder}/all.parquet"]


@pytest.mark.parametrize("name", ["samples", "steps", "labels", "outcomes", "selections"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_shard(smoke: Path, name: str, damage: str) -> None:
    path = smoke / f"data/{name}/M1/all.parquet"
    with tampered(path):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-40])
        else:
            path.unlink()
        found = named(verify(smoke))
    assert set(found) == {"files", "tables"}
    assert all(f"data/{name}/M1/all.parquet" in line for lines in found.values() for line in lines)


def test_a_shard_out_of_order(smoke: Path) -> None:
    path = smoke / "data/outcomes/M1/all.parquet"
    with tampered(path):
        pl.read_parquet(path).reverse().write_parquet(path)
        found = named(verify(smoke))
    assert set(found) == {"files", "tables"}
    assert "rows are not sorted" in found["tables"][0]


def test_rows_of_a_data_set(smoke: Path) -> None:
    path = smoke / "data/datasets/M1/step_kto.parquet"
    rows = pl.read_parquet(path)
    fourth = f"row 4, sample {rows['sample_id'][4]}: is not"
    cases: dict[str, tuple[pl.DataFrame, str, str]] = {
        "order": (pl.concat([rows[1:2], rows[:1], rows[2:]]), "selection", "row 0: is sample"),
        "missing": (rows[1:], "selection", f"{rows['sample_id'][0]} of problem {rows['problem_id'][0]}: is missing"),
        "twice": (pl.concat([rows, rows[:1]]), "selection", "is there more than once"),
        "prompt": (set_cells(4, prompt=rows["prompt"][5])(rows), "kto", fourth),
        "label": (set_cells(4, label=not rows["label"][4])(rows), "kto", fourth),
    }
    for name, (frame, check, words) in cases.items():
        with tampered(path):
            frame.write_parquet(path)
            found = named(verify(smoke, checks=STATED))
        assert set(found) == {"files", "manifests", check}, name
        assert any(words in line for line in found[check]), (name, found)


def test_pairs_of_a_data_set(smoke: Path) -> None:
    path = smoke / "data/datasets/M1/pairs.parquet"
    pairs = pl.read_parquet(path)
    swapped = pairs.rename({"chosen_sample_id": "rejected_sample_id", "rejected_sample_id": "chosen_sample_id"})
    cases = {
        "row 0: is the pair": pl.concat([swapped.select(pairs.columns)[:1], pairs[1:]]),
        f"has {pairs.height - 1} pairs; the labels give {pairs.height}": pairs[:-1],
    }
    for words, frame in cases.items():
        with tampered(path):
            frame.write_parquet(path)
            found = named(verify(smoke, checks=STATED))
        assert set(found) == {"files", "manifests", "selection"}, words
        assert any(words in line for line in found["selection"]), (words, found)


def test_manifests(smoke: Path) -> None:
    path = smoke / "data/datasets/M1/manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    heavy = manifest | {"weights": {**manifest["weights"], "outcome": {"desirable": 9.0, "undesirable": 1.0}}}
    files = manifest | {"files": {**manifest["files"], "kto.parquet": "0" * 64}}
    with tampered(path):
        path.write_text(json.dumps(heavy), encoding="utf-8")
        found = named(verify(smoke, checks=STATED))
        assert set(found) == {"files", "selection"}
        assert found["selection"][0].startswith("data/datasets/M1/manifest.json: weights is")
        path.write_text(json.dumps(files), encoding="utf-8")
        found = named(verify(smoke, checks=STATED))
        assert set(found) == {"files", "manifests"}
        assert any(line.startswith("data/datasets/M1/kto.parquet: has sha256") for line in found["manifests"])


def test_reports(smoke: Path) -> None:
    metric = smoke / "data/reports/evaluate/M1.json"
    steps, copy = smoke / "data/reports/split/M1.json", smoke / "reports/stages/judge/M1.json"
    with tampered(metric, steps, copy):
        report = json.loads(metric.read_text(encoding="utf-8"))
        report["benchmarks"]["three"]["metrics"]["pass_at_1"]["high"] = 0.5
        metric.write_text(json.dumps(report), encoding="utf-8")
        report = json.loads(steps.read_text(encoding="utf-8"))
        steps.write_text(json.dumps(report | {"steps": report["steps"] + 1}), encoding="utf-8")
        copy.write_text("{}", encoding="utf-8")
        found = named(verify(smoke, checks=["reports"]))["reports"]
    assert [line.split(" is ")[0] for line in found] == [
        "data/reports/split/M1.json: steps",
        "data/reports/evaluate/M1.json: three: metrics.pass_at_1",
        "reports/stages/evaluate/M1.json:",
        "reports/stages/judge/M1.json:",
        "reports/stages/split/M1.json:",
        "reports/rounds.csv:",
    ]


def test_numbers_of_the_table_of_rounds_and_of_the_metrics(smoke: Path) -> None:
    for name in ("rounds.csv", "metrics.json"):
        path = smoke / "reports" / name
        with tampered(path):
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r"0\.\d+", "0.987", text, count=1), encoding="utf-8")
            (line,) = named(verify(smoke, checks=["reports"]))["reports"]
        assert line.startswith(f"reports/{name}: is not ")


def test_a_file_that_would_be_read_as_a_shard(smoke: Path) -> None:
    stray = smoke / "data/labels/M1/more.parquet"
    with tampered(stray):
        stray.write_bytes((smoke / "data/labels/M1/all.parquet").read_bytes())
        found = named(verify(smoke, checks=["tables"]))
    assert found == {"tables": ["data/labels/M1/more.parquet: is no shard of 0 digits"]}


def test_the_manifest_of_a_policy(smoke: Path) -> None:
    path = smoke / "models/M1/manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    with tampered(path):
        path.write_text(json.dumps(manifest | {"made_from": {**manifest["made_from"], "dataset": "0" * 32}}))
        found = named(verify(smoke, checks=STATED))
    assert set(found) == {"files", "manifests"}
    assert found["manifests"][0].startswith(f"models/M1/manifest.json: made from dataset {'0' * 32}")
    with tampered(path):
        shutil.copy(smoke / "models/M0/manifest.json", path)
        (line,) = [line for line in named(verify(smoke, checks=["manifests"]))["manifests"] if "method" in line]
    assert line.startswith("models/M1/manifest.json: is made from {'kind': 'toy_arithmetic'")
    assert line.endswith("though train.method is step_kto")


def test_entries_of_the_lock(smoke: Path) -> None:
    path = smoke / "dvc.lock"
    other = "0" * 32
    cases: dict[str, tuple[Callable[[dict[str, Any]], None], set[str], str]] = {
        "input": (
            lambda lock: _entry(lock["split@M1"]["deps"], "data/samples/M1").update(md5=f"{other}.dir"),
            {"lock"},
            f"dvc.lock: split@M1: read data/samples/M1 as {other}.dir; sample@M1 wrote",
        ),
        "code": (
            lambda lock: _entry(lock["code"]["deps"], "stages").update(md5=f"{other}.dir"),
            {"code"},
            "stages: has md5 ",
        ),
        "output": (
            lambda lock: _entry(lock["train@M1"]["outs"], "models/M1").update(md5=f"{other}.dir"),
            {"lock", "files"},
            "models/M1 as ",
        ),
        "setting": (
            lambda lock: lock["problems"]["params"]["reports/params/M0.yaml"].update(seed=7),
            {"lock"},
            "dvc.lock: problems: ran with seed 7; reports/params/M0.yaml holds 1",
        ),
        "round's setting": (
            lambda lock: lock["train@M1"]["params"]["reports/params/M1.yaml"]["train"].update(beta=7.0),
            {"lock"},
            "dvc.lock: train@M1: ran with train",
        ),
        "command": (
            lambda lock: lock["judge@M1"].update(cmd="python -m stages.judge"),
            {"lock"},
            "dvc.lock: judge@M1: ran 'python -m stages.judge'; dvc.yaml says",
        ),
    }
    for name, (change, checks, words) in cases.items():
        with tampered(path):
            lock = yaml.safe_load(path.read_text(encoding="utf-8"))
            change(lock["stages"])
            path.write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")
            found = named(verify(smoke, checks=STATED))
        assert checks <= set(found), (name, found)
        assert any(words in line for check in checks for line in found[check]), (name, found)


def change_lock(smoke: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = smoke / "dvc.lock"
    lock = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(lock["stages"])
    path.write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")


def drop_stages(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(lock: dict[str, Any]) -> None:
        for name in names:
            del lock[name]

    return change


def test_a_round_that_is_not_finished_is_not_run_yet(smoke: Path) -> None:
    later = ("judge@M1", "dataset@M1", "train@M1", "evaluate@M1", "report")
    with tampered(smoke / "dvc.lock", smoke / "data/labels/M1/all.parquet"):
        change_lock(smoke, drop_stages(*later))
        (smoke / "data/labels/M1/all.parquet").unlink()
        results = verify(smoke)
        assert not results.is_broken, results.format_lines()
        assert results.notes == ["round M1: not run yet: judge, dataset, train, evaluate", "not run yet: report"]
        assert results.by_check["samples"].num_checked, "the evaluation of M0 is checked"
        with pytest.raises(UserError, match=r"dataset@M1: not run yet; run `stepkto repro dataset@M1`"):
            verify(smoke, targets=["dataset@M1"])
        change_lock(smoke, drop_stages("sample@M1", "outcome@M1", "select@M1", "split@M1"))
        assert verify(smoke, checks=STATED).notes == ["round M1: not run yet", "not run yet: report"]


def test_what_belongs_to_another_recipe_is_out_of_date_and_not_broken(smoke: Path) -> None:
    """Stage sample ran again for another seed, and a kill came before the stages that read it."""
    samples = smoke / "data/samples/M1/all.parquet"

    def change(lock: dict[str, Any]) -> None:
        lock["split@M1"]["params"]["reports/params/M1.yaml"]["split"]["max_steps"] = 3
        _entry(lock["outcome@M1"]["deps"], "data/samples/M1").update(md5=f"{'0' * 32}.dir")

    with tampered(smoke / "dvc.lock", samples, smoke / "data/steps/M1/all.parquet"):
        change_lock(smoke, change)
        (smoke / "data/steps/M1/all.parquet").unlink()
        results = verify(smoke)
    assert results.is_broken, "publishing must not go on"
    assert set(named(results)) == {"lock"}, named(results)
    lines = results.format_lines()
    stages = "outcome@M1, select@M1, split@M1, judge@M1, dataset@M1"
    assert lines[0] == f"round M1: out of date: {stages}; its rows are not checked"
    assert any(line.startswith("lock       OUTDATED") for line in lines)
    assert not any("BROKEN" in line for line in lines)


def test_only_what_a_stage_was_made_from(smoke: Path) -> None:
    with tampered(smoke / "dvc.lock", smoke / "models/M1/manifest.json"):
        change_lock(smoke, drop_stages("evaluate_seed", "report"))
        (smoke / "models/M1/manifest.json").unlink()
        results = verify(smoke, targets=["dataset@M1"])
        assert not results.is_broken
        assert not results.notes
        assert all(result.num_checked for result in results.by_check.values())
        assert verify(smoke, targets=["train@M1"], checks=["manifests"]).is_broken


def _entry(listed: list[dict[str, Any]], path: str) -> dict[str, Any]:
    return next(entry for entry in listed if entry["path"] == path)


@pytest.mark.parametrize("name", ["stages/judge/llm/prompts/completion.jinja", "stages/outcome/verify_table.py"])
def test_a_prompt_file_or_other_code(smoke: Path, name: str) -> None:
    with tampered(smoke / name):
        (smoke / name).write_text((smoke / name).read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")
        found = named(verify(smoke, checks=STATED))
    assert set(found) == {"code"}
    assert all(
        "has md5 " in line and line.endswith(f"changed since dvc.lock was committed: {name}") for line in found["code"]
    )


def test_where_no_data_is_there_nothing_is_called_fine(smoke: Path, tmp_path: Path) -> None:
    for name in (
        ".git",
        ".dvc",
        "dvc.lock",
        "dvc.yaml",
        "params.yaml",
        "plugins",
        "requirements.lock",
        "stages",
        "reports",
    ):
        (shutil.copytree if (smoke / name).is_dir() else shutil.copy)(smoke / name, tmp_path / name)
    results = verify(tmp_path)
    assert {"files", "manifests", "tables"} == set(named(results))
    assert "data/problems: missing; dvc.lock names it (problems" in results.by_check["files"].errors[0]
    assert [line.split()[0] for line in results.format_lines() if " ok " in line] == ["lock", "code"]


def test_a_round_that_is_not_there(smoke: Path) -> None:
    with pytest.raises(ValueError, match=r"no round M7; there are M1"):
        verify(smoke, ["M7"])


def test_numbers_of_a_lock_are_numbers() -> None:
    text = "stages:\n  train@M1:\n    cmd: c\n    params:\n      p.yaml:\n        rate: 1e-06\n        word: no\n"
    assert parse_lock(text, "dvc.lock")["train@M1"].tracked_params == {"rate": 1e-06, "word": "no"}


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["cmd", "deps", "outs", "params", "path", "md5", "split"]), inner)
    ),
    max_leaves=12,
)


@given(st.text(max_size=60) | _ANY.map(lambda stages: json.dumps({"stages": stages})))
def test_what_is_no_lock_is_refused_in_one_line(text: str) -> None:
    try:
        parsed: object = parse_lock(text, "that.lock")
    except ValueError as error:
        parsed = str(error)
    refusal = isinstance(parsed, str) and parsed.startswith("that.lock: not a dvc.lock") and "\n" not in parsed
    assert refusal or (isinstance(parsed, dict) and all(isinstance(entry, LockEntry) for entry in parsed.values()))
