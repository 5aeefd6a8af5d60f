"""Agreement of people and of judges with people, adjudication, and human labels in the place of a judge's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from stages.common.errors import UserError
from stages.common.human_labels import HumanLabel, append_human_labels, hash_step_text, read_human_labels
from stages.common.params.block import ParamsError, validate
from stages.common.params.judge import GateParams, JudgeParams
from stages.common.resolved_labels import resolve_labels
from stages.common.tables import PROBLEM, SAMPLE, STEP, read_table
from stages.judge import LabelEvidence, make_judge
from stages.judge.calibration import calibrate_judges, choose_split, read_solutions, run_gate
from tests.support.human_labels import human_label
from tests.support.labelled_project import STEPS, label, make_tables
from tools.human_labels import (
    SampleTables,
    adjudicate,
    describe_agreement,
    export_labels,
    export_solutions,
    list_disagreements,
    read_calibration_set,
)  # fmt: skip


@pytest.fixture
def tables(tmp_path: Path) -> SampleTables:
    return make_tables(tmp_path / "project")


def write(path: Path, *labels: HumanLabel) -> Path:
    append_human_labels(path, labels)
    return path


def judge_of(path: Path, **params: Any) -> JudgeParams:
    return validate(JudgeParams, {"kind": "human", "human": {"file": str(path)}, **params}, "judge")


def read_round(tables: SampleTables) -> list[pl.DataFrame]:
    folders = {"data/problems": PROBLEM, "data/samples/M1": SAMPLE, "data/steps/M1": STEP}
    return [read_table(tables.root / folder, table, 0) for folder, table in folders.items()]


# One label per step


@pytest.mark.parametrize(
    ("said", "is_correct", "reason", "unknown_reason"),
    [
        (["anna correct"], True, "correct by 1", None),
        (["anna correct", "ben neutral"], True, "correct by 1, neutral by 1", None),
        (["anna incorrect", "ben incorrect"], False, "incorrect by 2", None),
        (["anna correct", "ben incorrect"], None, "people disagree: correct by 1, incorrect by 1", "people disagree"),
        (["anna correct", "ben correct", "cy incorrect"], None, "people disagree: correct by 2, incorrect by 1",
         "people disagree"),
        (["anna correct", "ben cannot_tell"], None, "people disagree: cannot_tell by 1, correct by 1",
         "people disagree"),
        (["anna cannot_tell", "ben bad_split"], None, "bad_split by 1, cannot_tell by 1", "people say bad split"),
        (["anna correct", "ben incorrect", "cy adjudicated incorrect"], False,
         "adjudicated incorrect: correct by 1, incorrect by 1", None),
        (["anna correct", "cy adjudicated cannot_tell"], None, "adjudicated cannot_tell: correct by 1",
         "people say cannot tell"),
        (["cy adjudicated correct"], True, "adjudicated correct: correct by 1", None),
        (["anna correct", "ben gold incorrect"], True, "correct by 1", None),
    ],
)  # fmt: skip
def test_people_who_agree_or_are_adjudicated_give_the_label(
    said: list[str], is_correct: bool | None, reason: str, unknown_reason: str | None
) -> None:
    labels = []
    for words in said:
        annotator, *kind, text = words.split()
        labels.append(label(annotator, "s0", 1, text, kind=kind[0] if kind else "own"))
    it = resolve_labels(labels)["s0", 1]
    assert (it.is_correct, it.reason, it.unknown_reason) == (is_correct, reason, unknown_reason)
    assert 0 <= it.agreement <= 1


@given(st.permutations([label("anna", "s0", 0), label("ben", "s0", 0, "incorrect"), label("cy", "s0", 0, "neutral"),
                        label("dan", "s0", 0, "incorrect", kind="adjudicated")]))  # fmt: skip
def test_the_order_of_people_does_not_matter(labels: list[HumanLabel]) -> None:
    it = resolve_labels(labels)["s0", 0]
    assert (it.is_correct, it.agreement) == (False, 1 / 3)


# Agreement


def test_two_people_are_compared_by_alpha_and_kappa_with_intervals() -> None:
    cells = [(index % 3 != 0, index % 3 != 0 if index % 7 else index % 3 == 0) for index in range(84)]
    labels = [
        human_label(annotator=name, sample_id=f"s{index}", problem_id=f"p{index % 20}", judge_label="none",
                    label="correct" if both[person] else "incorrect")
        for index, both in enumerate(cells) for person, name in enumerate(["anna", "ben"])
    ]  # fmt: skip
    people, pair, rate, *rest = describe_agreement(labels)
    assert people.startswith("84 steps labelled by several of 2 people: Krippendorff's alpha 0.")
    kappa = cohen_kappa_score(*zip(*cells, strict=True))
    assert pair.startswith("anna, ben: agree on 85.7% [")
    assert f"] of 84 steps, Cohen's kappa {kappa:.3f} [" in pair
    assert rate.startswith("steps drawn at random: ")
    assert rate.endswith("; 12 more unknown, of which people disagree on 12")
    assert rest == []


def test_neutral_is_another_label_and_yet_correct() -> None:
    labels = [label(name, "s0", step, said) for name, of in {"anna": ["correct", "incorrect", "cannot_tell"],
              "ben": ["neutral", "incorrect", "correct"]}.items() for step, said in enumerate(of)]  # fmt: skip
    people, pair, *_ = describe_agreement(labels)
    assert "alpha 0.231" in people
    assert "1.000 [1.000, 1.000] of correct and incorrect" in people
    assert pair.startswith("anna, ben: agree on 100.0% [100.0%, 100.0%] of 2 steps, Cohen's kappa 1.000")
    assert pair.endswith("; 1 more are unknown to one")


def test_rates_of_the_random_share_are_apart_from_those_of_doubtful_items() -> None:
    labels = [label("anna", "s0", 0, queue="random"), label("anna", "s0", 1, "incorrect", queue="value"),
              label("anna", "s1", 0, "incorrect", queue="value"), label("anna", "s2", 0, queue="browsing")]  # fmt: skip
    lines = list(describe_agreement(labels))
    assert lines[0] == "no step was labelled by two people"
    assert lines[1].startswith("steps drawn at random: 0.0% [0.0%, 0.0%] of 1 steps incorrect")
    assert lines[2].startswith("steps chosen by value: 100.0% [100.0%, 100.0%] of 2 steps incorrect")
    assert lines[3].startswith("steps found by browsing: 0.0%")


def test_each_person_has_a_score_on_gold_items() -> None:
    gold = [label("lead", "s0", 0, kind="adjudicated"), label("lead", "s0", 1, "incorrect", kind="adjudicated")]
    answers = [label("anna", "s0", 0, "neutral", kind="gold"), label("anna", "s0", 1, "incorrect", kind="gold"),
               label("ben", "s0", 0, kind="gold"), label("ben", "s0", 1, kind="gold"),
               label("ben", "s1", 1, kind="gold")]  # fmt: skip
    lines = [line for line in describe_agreement(answers, gold) if "gold" in line]
    assert lines == [
        "anna on gold items: 100.0% [100.0%, 100.0%] of 2 steps as known",
        "ben on gold items: 50.0% [50.0%, 50.0%] of 2 steps as known",
        "anna: the first error, or that there is none, found blind in 1 of 1 gold items",
        "ben: the first error, or that there is none, found blind in 0 of 1 gold items",
    ]
    assert "5 labels of gold items: name the file with their known labels by --gold" in list(
        describe_agreement(answers)
    )


def test_judges_are_measured_by_split_and_queue_on_blind_labels() -> None:
    problems = {split: next(f"p{n}" for n in range(99) if choose_split(f"p{n}") == split) for split in ("dev", "test")}
    labels = [
        human_label(sample_id="a", problem_id=problems["dev"], judge_label="incorrect"),
        human_label(sample_id="b", problem_id=problems["test"]),
        human_label(sample_id="b", step=1, problem_id=problems["test"], judge_label="unknown"),
        human_label(sample_id="b", step=2, problem_id=problems["test"], queue="value", label="incorrect"),
        human_label(sample_id="b", step=3, problem_id=problems["test"], is_blind=False, label="incorrect"),
    ]
    lines = [line for line in describe_agreement(labels) if "judge" in line]
    assert lines == [
        "judge j, test, steps drawn at random: agrees on 100.0% [100.0%, 100.0%] of 1 steps, Cohen's kappa "
        "not defined; 1 more are unknown to one",
        "judge j, test, steps chosen by value: agrees on 0.0% [0.0%, 0.0%] of 1 steps, Cohen's kappa "
        "0.000 [0.000, 0.000]",
        "judge j, dev, steps drawn at random: agrees on 0.0% [0.0%, 0.0%] of 1 steps, Cohen's kappa "
        "0.000 [0.000, 0.000]",
        "1 labels were given with the judge's in view, and do not measure it",
    ]


def test_labels_of_another_text_of_their_step_are_left_out_and_counted(tmp_path: Path, tables: SampleTables) -> None:
    other = {"text_hash": hash_step_text("First, $1+1=2$.")}  # without the line break that belongs to the step
    path = write(tmp_path / "labels.jsonl", label("anna", "s0", 0), label("ben", "s0", 0, "incorrect", **other),
                 label("anna", "s3", 9, **other), label("ben", "s2", 0, "incorrect"))  # fmt: skip
    labels, left_out = tables.read_labels(path)
    assert [(it.annotator, it.sample_id) for it in labels] == [("anna", "s0"), ("ben", "s2")]
    assert left_out == "2 labels are of another text of their step, and left out"
    assert list(list_disagreements(tables, read_human_labels(path))) == ["0 steps to adjudicate; 0 settled", left_out]
    rows = make_judge(judge_of(path), 0).label(*read_round(tables)).labels
    found = {(it["sample_id"], it["step"]): it["label"] for it in rows.to_dicts() if it["label"] is not None}
    assert found == {("s0", 0): True, ("s2", 0): False}
    assert [(it.key, it.labels) for it in read_calibration_set(tables, path)] == [
        ("s0", [True, None, None]),
        ("s2", [False]),
    ]
    out = tmp_path / "out.jsonl"
    assert export_solutions(tables, path, out) == f"{out}: 2 solutions with 2 known steps; {left_out}"
    assert list(export_labels(tables, path, "potato", out)) == [f"{out}: 2 rows with 2 labels", left_out]
    assert adjudicate(path, "s0", 0, "correct", "cy") == "s0, step 0: correct by cy; before: ben incorrect"


def test_a_judge_says_that_people_labelled_another_text(tmp_path: Path, tables: SampleTables) -> None:
    path = write(tmp_path / "labels.jsonl", label("anna", "s2", 0, text_hash="00000000"))
    made = make_judge(judge_of(path), 0).label(*read_round(tables))
    row = made.labels.row(by_predicate=pl.col("sample_id") == "s2", named=True)
    assert (row["label"], row["reason"]) == (None, "labelled another text of this step")
    assert made.unknown_reasons == {"labelled another text of this step": 1, "not labelled by a person": 9}


def test_without_tables_labels_of_two_texts_are_not_taken_for_one_step(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.jsonl", label("anna", "s0", 0, text_hash="00000000"), label("ben", "s0", 0),
                 label("cy", "s0", 0))  # fmt: skip
    labels, _ = SampleTables(tmp_path, []).read_labels(path)
    assert [it.annotator for it in labels] == ["ben", "cy"]


# Adjudication


def test_steps_on_which_people_differ_are_listed_until_they_are_settled(tmp_path: Path, tables: SampleTables) -> None:
    path = write(tmp_path / "labels.jsonl", label("ben", "s0", 1, "incorrect"), label("anna", "s0", 1),
                 label("anna", "s3", 0), label("ben", "s3", 0, "neutral"))  # fmt: skip
    assert list(list_disagreements(tables, read_human_labels(path))) == [
        "M1 s0 1: anna correct, ben incorrect: Zweitens: ½.",
        "1 steps to adjudicate; 0 settled",
    ]
    said = adjudicate(path, "s0", 1, "incorrect", "cy")
    assert said == "s0, step 1: incorrect by cy; before: ben incorrect, anna correct"
    assert list(list_disagreements(tables, read_human_labels(path))) == ["0 steps to adjudicate; 1 settled"]
    labels = read_human_labels(path)
    assert len(labels) == 5
    assert resolve_labels(labels)["s0", 1].is_correct is False
    adjudicate(path, "s0", 1, "correct", "cy")
    assert resolve_labels(read_human_labels(path))["s0", 1].is_correct is True


@pytest.mark.parametrize(
    ("sample", "step", "said", "expected"),
    [("s9", 0, "correct", "expected one labelled sample that begins with 's9', found 0"),
     ("s", 0, "correct", "found 2"), ("s0", 9, "correct", "nobody labelled step 9 of sample s0"),
     ("s0", 1, "good", "adjudicated label: label: Input should be 'correct'")],
)  # fmt: skip
def test_what_cannot_be_adjudicated_is_named(tmp_path: Path, sample: str, step: int, said: str, expected: str) -> None:
    path = write(tmp_path / "labels.jsonl", label("anna", "s0", 1), label("anna", "s3", 0))
    before = path.read_bytes()
    with pytest.raises(UserError, match=expected):
        adjudicate(path, sample, step, said, "cy")
    assert path.read_bytes() == before


# People as a judge


def test_people_label_in_the_place_of_a_judge_and_an_audit_finds_the_same(tmp_path: Path, tables: SampleTables) -> None:
    path = write(tmp_path / "labels.jsonl", label("anna", "s0", 0), label("anna", "s0", 1), label("ben", "s0", 1),
                 label("ben", "s0", 2, "incorrect"), label("anna", "s1", 0), label("ben", "s1", 0, "incorrect"),
                 label("anna", "s2", 0, "cannot_tell"))  # fmt: skip
    judge = make_judge(judge_of(path), 0)
    read = read_round(tables)
    made = judge.label(*read)
    rows = {(it["sample_id"], it["step"]): (it["label"], it["reason"]) for it in made.labels.to_dicts()}
    assert len(rows) == sum(map(len, STEPS.values()))
    assert [rows["s0", step][0] for step in range(3)] == [True, True, False]
    assert rows["s1", 0] == (None, "people disagree: correct by 1, incorrect by 1")
    assert rows["s3", 0] == (None, "not labelled by a person")
    assert rows["s2", 0] == (None, "cannot_tell by 1")
    assert set(made.labels.filter(sample_id="s0")["first_error"]) == {2}
    assert made.unknown_reasons == {
        "people disagree": 1, "people say cannot tell": 1, "not labelled by a person": 5
    }  # fmt: skip
    again = make_judge(judge_of(path), 0).recount(LabelEvidence(*read, made.labels, None))
    assert again is not None
    assert again.equals(made.labels)
    before = judge.identity
    write(path, label("cy", "s1", 0, kind="adjudicated"))
    later = make_judge(judge_of(path), 0)
    assert later.identity != before
    assert later.label(*read).labels.filter(sample_id="s1", step=0)["label"].to_list() == [True]


def test_people_come_first_in_a_list_of_rules(tmp_path: Path, tables: SampleTables) -> None:
    path = write(tmp_path / "labels.jsonl", label("anna", "s0", 0, "incorrect"))
    judge = make_judge(judge_of(path, kind="rules", rules=["human", "reference"]), 0)
    read = read_round(tables)
    rows = judge.label(*read).labels.filter(sample_id="s0").sort("step").to_dicts()
    assert (rows[0]["label"], rows[0]["reason"]) == (False, "human: incorrect by 1")


@pytest.mark.parametrize("params", [{"kind": "human"}, {"kind": "rules", "rules": ["arithmetic", "human"]}])
def test_human_labels_need_a_file(params: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match="human: null, but kind human requires it"):
        validate(JudgeParams, params, "judge")


# People as a benchmark


def test_judges_are_calibrated_on_our_own_labels_and_the_gate_reads_their_test_part(
    tmp_path: Path, tables: SampleTables
) -> None:
    path = write(tmp_path / "labels.jsonl", *(label("anna", "s0", step) for step in range(3)),
                 label("anna", "s1", 0), label("anna", "s1", 1, "incorrect"), label("anna", "s2", 0, "incorrect"),
                 label("anna", "s3", 0, is_blind=False))  # fmt: skip
    solutions = list(read_calibration_set(tables, path))
    assert [(it.key, it.labels, it.split) for it in solutions] == [
        ("s0", [True, True, True], choose_split("p0")),
        ("s1", [True, False, None, None], choose_split("p0")),
        ("s2", [False], choose_split("p1")),
    ]
    assert solutions[0].reference == "Solution p0."
    out = tmp_path / "solutions.jsonl"
    assert export_solutions(tables, path, out) == f"{out}: 3 solutions with 6 known steps"
    assert list(read_solutions(out)) == solutions
    lines = list(calibrate_judges([path], ["none"], read=lambda it: read_calibration_set(tables, it)))
    assert any(line.startswith("all") for line in lines)
    gate = GateParams(min_f1=0.0, files=[str(out)])
    metrics = run_gate(JudgeParams(kind="none", gate=gate), 0, "gate")
    assert metrics is not None
    assert metrics["solutions"] == sum(it.split == "test" for it in solutions)
    with pytest.raises(UserError, match=r"human labels hold no texts; .*--format stepwise"):
        list(read_solutions(path))


def test_a_published_benchmark_is_still_read(tmp_path: Path, tables: SampleTables) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "a", "problem": "p", "steps": ["x"], "label": -1}))
    assert list(read_calibration_set(tables, path)) == list(read_solutions(path))
