"""Judges against people: ProcessBench's numbers, the confusion matrix, what votes gain, the gate before labelling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.journal import ROOT
from stages.common.params.evaluate import JudgeRatesParams
from stages.common.params.judge import JudgeParams
from stages.common.tables import PROBLEM, SAMPLE, STEP, write_table
from stages.common.toy_arithmetic import make_problems
from stages.judge.calibration import calibrate_judge, calibrate_judges, run_gate
from stages.judge.calibration.benchmark_formats import read_solutions
from stages.judge.calibration.benchmark_metrics import compute_metrics, is_match
from stages.judge.calibration.console_tables import PUBLISHED, format_judge_rates, list_published
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from tests.support.llm_params import JUDGE, LLM_JUDGE

REAL = (Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data")) / "processbench").resolve()
T, F, U = True, False, None


@st.composite
def judged_solutions(draw: st.DrawFn) -> list[tuple[LabelledSolution, list[bool | None]]]:
    pairs = []
    for number in range(draw(st.integers(1, 8))):
        labels = draw(st.lists(st.sampled_from([T, F, U]), min_size=1, max_size=6))
        error = draw(st.none() | st.integers(0, len(labels) - 1))
        steps = [f"{number}.{step}" for step in range(len(labels))]
        pairs.append(
            (
                LabelledSolution.from_first_error(
                    f"s{number}", "p", steps, error, draw(st.sampled_from(["", "a", "b"]))
                ),
                labels,
            )
        )
    return pairs


@given(judged_solutions())
def test_the_confusion_matrix_is_that_of_the_labels_given(
    pairs: list[tuple[LabelledSolution, list[bool | None]]],
) -> None:
    expected = Counter(
        (
            "incorrect" if step == solution.first_error else "correct",
            {T: "correct", F: "incorrect", U: "unknown"}[label],
        )
        for solution, labels in pairs
        for step, label in enumerate(labels)
        if solution.first_error is None or step <= solution.first_error
    )
    solutions = [solution for solution, _ in pairs]
    numbers = compute_metrics(solutions, {solution.sample_id: labels for solution, labels in pairs})
    said = numbers["steps"]["confusion"]
    assert {(truth, label): count for truth, row in said.items() for label, count in row.items() if count} == expected
    for part in ("by_generator", "by_steps"):
        assert sum(numbers[part][name]["solutions"] for name in numbers[part]) == len(solutions)


@pytest.mark.parametrize(
    ("error", "labels", "match"),
    [
        (1, [T, F, T], True),
        (1, [T, F, F], True),
        (1, [U, F, T], True),
        (1, [F, F, T], False),
        (1, [T, T, F], False),
        (1, [T, T, T], False),
        (None, [T, T], True),
        (None, [T, U], False),
        (None, [T, F], False),
    ],
)
def test_a_solution_matches(error: int | None, labels: list[bool | None], match: bool) -> None:
    assert is_match(LabelledSolution.from_first_error("s", "p", ["x"] * len(labels), error), labels) is match


def test_known_flips_give_the_numbers_that_follow_from_them() -> None:
    """10 solutions of 3 steps, 6 with their error at step 1: the judge misses 2 of these and is wrong on 1 of the 4."""
    solutions = [LabelledSolution.from_first_error(f"e{n}", "p", ["a", "b", "c"], 1) for n in range(6)]
    solutions += [LabelledSolution.from_first_error(f"c{n}", "p", ["a", "b", "c"], None) for n in range(4)]
    labels = [[T, F, F]] * 4 + [[T, T, F], [F, F, F]] + [[T, T, T]] * 3 + [[T, T, F]]
    numbers = compute_metrics(solutions, {s.sample_id: found for s, found in zip(solutions, labels, strict=True)})
    assert numbers["accuracy_on_erroneous"] == round(4 / 6, 6)
    assert numbers["accuracy_on_correct"] == 0.75
    assert numbers["f1"] == pytest.approx(2 * (4 / 6) * 0.75 / (4 / 6 + 0.75), abs=1e-6)
    assert numbers["steps"]["confusion"] == {
        "incorrect": {"incorrect": 5, "correct": 1, "unknown": 0},
        "correct": {"incorrect": 2, "correct": 16, "unknown": 0},
    }
    assert numbers["sensitivity"] == {"value": 1.0, "denominator": 6}, "a wrong step is called wrong, if too late"
    assert numbers["specificity"] == {"value": 0.75, "denominator": 4}
    assert numbers["steps"]["precision_of_incorrect"] == round(5 / 7, 6)
    assert numbers["steps"]["recall_of_incorrect"] == round(5 / 6, 6)


def test_shares_of_nothing_are_null() -> None:
    numbers = compute_metrics([LabelledSolution.from_first_error("s", "p", ["a"], None)], {})
    assert (numbers["accuracy_on_erroneous"], numbers["f1"], numbers["steps"]["unknown"]) == (None, None, None)


def people(count: int) -> list[LabelledSolution]:
    """Toy completions: every other one slips by one in its second step; later steps build on it."""
    made = []
    for at, row in enumerate(make_problems("train", count, 1)):
        steps = row["solution"].splitlines(keepends=True)
        if at % 2:
            left, right = steps[1].rsplit("= ", 1)
            steps[1] = f"{left}= {int(right) + 1}\n"
        made.append(
            LabelledSolution.from_first_error(f"s{at}", row["problem"], steps, 1 if at % 2 else None, f"model {at % 3}")
        )
    return made


def write_people(path: Path, count: int) -> Path:
    rows = [
        {"id": s.key, "generator": s.generator, "problem": s.problem, "steps": s.steps,
         "label": -1 if s.first_error is None else s.first_error}
        for s in people(count)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


NUM_TEST = 30
"""Solutions of the gate; the test split of the 80 in its file has more."""


def weak(wrong: float, votes: int = 1, **changes: Any) -> JudgeParams:
    llm = {**LLM_JUDGE, "mock": {"error_rate": wrong, "invalid_rate": 0.05}, "temperature": 1.0}
    return JudgeParams.model_validate({**JUDGE, "llm": llm, "num_votes": votes, **changes})


def exact(**changes: Any) -> JudgeParams:
    return JudgeParams.model_validate({**JUDGE, "kind": "toy_arithmetic", "llm": None, **changes})


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_people_s_solutions_are_read_whole(tmp_path: Path) -> None:
    path = write_people(tmp_path / "people.jsonl", 6)
    assert list(read_solutions(path)) == people(6)
    problems, samples, steps = build_tables([*people(6), *people(2)])
    assert (PROBLEM.check(problems).height, SAMPLE.check(samples).height) == (6, 6)
    texts = dict(samples.select("sample_id", "completion").iter_rows())
    spans = STEP.check(steps).sort("sample_id", "step").select("sample_id", "start", "end").iter_rows()
    read: dict[str, list[str]] = {}
    for sample, start, end in spans:
        read.setdefault(sample, []).append(texts[sample][start:end])
    assert read == {solution.sample_id: solution.steps for solution in people(6)}


def test_the_exact_judge_scores_100_and_a_weak_one_does_not() -> None:
    solutions = people(60)
    best = calibrate_judge(exact(label_noise=0.5), 1, solutions, "test").metrics
    assert (best["f1"], best["steps"]["unknown"]) == (1.0, 0.0)
    assert best["per_1000_solutions"] == {}
    bad = calibrate_judge(weak(0.2), 1, solutions, "test").metrics
    assert 0.05 < bad["f1"] < 0.8
    assert set(bad["by_generator"]) == {"model 0", "model 1", "model 2"}
    assert bad["per_1000_solutions"]["judge"]["cost"] > 0


def test_votes_gain_and_the_first_is_not_asked_for_twice() -> None:
    solutions = people(60)
    found = calibrate_judge(weak(0.2, votes=5), 1, solutions, "test").metrics
    (journal,) = (ROOT / "judge").iterdir()
    size = journal.stat().st_size
    alone = calibrate_judge(weak(0.2), 1, solutions, "test").metrics
    assert journal.stat().st_size == size
    assert found["f1_of_one_vote"] == alone["f1"] < found["f1"]
    assert 0.6 < found["agreement"] < 0.95
    assert 0.6 < found["self_consistency"] < found["agreement"]
    assert found["cut"] == 0.0
    assert alone["self_consistency"] is None


@pytest.mark.parametrize(("wrong", "passes"), [(0.0, True), (0.3, False)])
def test_the_gate_stops_before_the_labelling(
    tmp_path: Path, request: pytest.FixtureRequest, wrong: float, passes: bool
) -> None:
    gate = {"min_f1": 0.55, "files": ["people.jsonl"], "max_solutions": NUM_TEST}
    write_people(tmp_path / "people.jsonl", 80)
    for table, frame in zip((PROBLEM, SAMPLE, STEP), build_tables(people(100)[80:]), strict=True):
        write_table(tmp_path / f"{table.name}s", table, frame, 0)
    settings = weak(wrong, gate=gate).model_dump(mode="json")
    recipe = {"seed": 1, "tables": {"shard_digits": 0}, "judge": settings}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    folders = [f"--{name}={name}" for name in ("problems", "samples", "steps", "out")]
    command = [sys.executable, "-m", "stages.judge", "--recipe=params.yaml", "--report=report.json", *folders]
    environment = {**os.environ, "PYTHONPATH": str(request.config.rootpath), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["calibration"]["solutions"] == NUM_TEST
    assert list(report["calibration"]["files"]) == ["people.jsonl"]
    if passes:
        assert done.returncode == 0, done.stderr
        kept = json.loads((tmp_path / "out" / "calibration.json").read_text(encoding="utf-8"))
        assert kept == report["calibration"]
        assert kept["f1"] >= 0.55
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("error: judge.gate.min_f1: expected at least 0.55, found 0.")
        assert "nothing is labelled" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_calibration_goes_on_where_it_was(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """kill -9 as soon as the journal has grown, twice: the same command sends the rest only, and measures the same."""
    slow = {**LLM_JUDGE["engine"], "concurrency": 4, "mock": {"latency_s": 0.005}}
    llm = {**LLM_JUDGE, "engine": slow, "mock": {"error_rate": 0.2, "invalid_rate": 0.1}, "temperature": 1.0}
    params = {"seed": 1, "judge": {**JUDGE, "llm": llm, "num_votes": 3}}
    environment = {**os.environ, "PYTHONPATH": str(request.config.rootpath), "OMP_NUM_THREADS": "1"}
    results = []
    for name, kills in (("whole", 0), ("killed", 2)):
        place = tmp_path / name
        place.mkdir()
        write_people(place / "people.jsonl", 60)
        (place / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        command = [
            sys.executable, "-m", "tools.cli", "calibrate", "--judge=toy_arithmetic", "--recipe=params.yaml",
            "--split=dev", "--out=out.json", "people.jsonl",
        ]  # fmt: skip
        for _ in range(kills):
            size = measure_journals(place)
            child = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL)
            while child.poll() is None and measure_journals(place) <= size:
                time.sleep(0.001)
            child.kill()
            child.wait()
            assert not (place / "out.json").exists()
        shown = subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True).stdout
        (journal,) = place.glob("work/journal/judge/*")
        keys = [key for line in journal.read_text().splitlines() for key in json.loads(line.split(" ", 1)[1])]
        assert len(keys) == len(set(keys)), "nothing was sent twice"
        results.append((sorted(keys), json.loads((place / "out.json").read_text()), shown))
    assert results[0] == results[1]


def measure_journals(place: Path) -> int:
    return sum(path.stat().st_size for path in place.glob("work/journal/judge/*"))


def test_the_gate_asks_for_nothing_twice(tmp_path: Path) -> None:
    path = write_people(tmp_path / "people.jsonl", 40)
    judge = weak(0.1, gate={"min_f1": 0.1, "files": [str(path)], "max_solutions": None})
    first = run_gate(judge, 1, "gate")
    (journal,) = (ROOT / "judge").iterdir()
    size = journal.stat().st_size
    assert run_gate(judge, 1, "gate") == first
    assert journal.stat().st_size == size
    assert run_gate(exact(), 1, "gate") is None


def test_judges_side_by_side(tmp_path: Path) -> None:
    recipe = tmp_path / "weak.yaml"
    recipe.write_text(
        yaml.safe_dump({"seed": 1, "judge": weak(0.2, votes=3).model_dump(mode="json")}), encoding="utf-8"
    )
    path = write_people(tmp_path / "people.jsonl", 30)
    out = tmp_path / "calibration.json"
    lines = list(calibrate_judges([path], ["toy_arithmetic", "arithmetic"], [recipe], out=out))
    at = lines.index("Solutions, in percent [95% interval]")
    table = {line.split()[0]: line.split()[1:] for line in lines[at + 2 : at + 5]}
    assert table["toy_arithmetic"][:3] == ["30", "100.0", "[100.0,"]
    assert table["arithmetic"][1] == "0.0", "who never says right finds no solution free of errors"
    assert table[str(recipe)][1] != "100.0"
    groups = lines.index("F1 by generator and by number of steps, in percent [95% interval]")
    assert {line.split(" (")[0] for line in lines[groups + 2 : groups + 5]} == {"model 0", "model 1", "model 2"}
    assert list(json.loads(out.read_text(encoding="utf-8"))) == sorted(["toy_arithmetic", "arithmetic", str(recipe)])


def test_published_judges_have_an_origin_and_add_up() -> None:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert len({row["judge"] for row in published["judges"]}) >= 20
    for row in published["judges"]:
        assert row["source"] in published["sources"]
        assert 0 < row["f1"]["average"] < 100
        parts = [row["f1"][part] for part in ("gsm8k", "math", "olympiadbench", "omnimath") if part in row["f1"]]
        assert len(parts) in (0, 4)
        if parts:
            assert sum(parts) / 4 == pytest.approx(row["f1"]["average"], abs=0.11), row["judge"]
    lines = list(list_published())
    assert next(line for line in lines if line.startswith("GPT-4o-0806")).split()[-6:] == [
        "79.2", "63.6", "51.4", "53.5", "61.9", "processbench",
    ]  # fmt: skip
    assert sum(row.get("note") is not None for row in published["judges"]) > 5


def test_a_calibration_fills_the_evaluations_rates() -> None:
    found = calibrate_judge(weak(0.3), 1, people(40), "test").metrics
    line = format_judge_rates("weak", found)
    start = "evaluate.judge_rates of weak: "
    assert line.startswith(start)
    rates = JudgeRatesParams.model_validate(yaml.safe_load(line.removeprefix(start)))
    assert rates.model_dump() == {name: found[name] for name in ("sensitivity", "specificity")}
    assert (rates.sensitivity.denominator, rates.specificity.denominator) == (20, 20)
    assert rates.sensitivity.value < 1
    assert "none, since people found" in format_judge_rates(
        "weak", calibrate_judge(exact(), 1, people(1), "test").metrics
    )
    nothing = {name: {"value": 0.5, "denominator": 4} for name in ("sensitivity", "specificity")}
    assert "no better than chance" in format_judge_rates("weak", nothing)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"real data is not at {REAL}")
def test_the_arithmetic_judge_on_real_solutions() -> None:
    solutions = [solution for name in ("gsm8k", "math") for solution in read_solutions(REAL / f"{name}.jsonl")]
    judge = JudgeParams.model_validate({**JUDGE, "kind": "arithmetic", "llm": None})
    found = calibrate_judge(judge, 0, solutions, "test").metrics
    assert found["solutions"] == 1400
    assert found["steps"]["precision_of_incorrect"] >= 0.95
    assert found["steps"]["confusion"]["correct"]["correct"] == 0
