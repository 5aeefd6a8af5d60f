"""Human labels of steps in the formats of published benchmarks, and the metrics of steps that all have a label."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.judge import JudgeParams
from stages.judge import join_completions
from stages.judge.calibration.benchmark_formats import read_solutions
from stages.judge.calibration.benchmark_metrics import compute_metrics
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.rules.reference import ReferenceJudge

CASES = json.loads((Path(__file__).parents[1] / "data" / "human_label_rows.json").read_text(encoding="utf-8"))


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_format_is_read(tmp_path: Path, case: dict[str, Any]) -> None:
    path = write(tmp_path / "rows.jsonl", [case["row"]])
    if "error" in case:
        with pytest.raises(UserError) as caught:
            list(read_solutions(path))
        assert str(caught.value).startswith(f"{path}:1: ")
        assert case["error"] in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    read = [
        {name: getattr(it, name) for name in case["expected"][0]} for it in read_solutions(path)
    ] if case["expected"] else list(read_solutions(path))  # fmt: skip
    assert read == case["expected"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "lines.json", "rows.json.gz"])
def test_arrays_are_read_as_lines_are(tmp_path: Path, name: str) -> None:
    rows = [case["row"] for case in CASES if "error" not in case]
    path = tmp_path / name
    is_array = name.startswith("rows.json") and not name.endswith("jsonl")
    text = json.dumps(rows, indent=1) if is_array else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert list(read_solutions(path)) == list(read_solutions(write(tmp_path / "expected.jsonl", rows)))


def test_a_bad_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"id": 1,', encoding="utf-8")
    with pytest.raises(UserError, match=r"rows\.json: not a JSON array"):
        list(read_solutions(path))
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(UserError, match=r"rows\.json, row 0: expected an object, found int"):
        list(read_solutions(path))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.sampled_from(["", "text", "correct"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["steps", "completions", "text"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from(CASES), st.data())
def test_a_changed_row_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, case: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(case["row"])))
    path = write(tmp_path_factory.mktemp("rows") / "rows.jsonl", [{**case["row"], key: data.draw(_VALUES)}])
    solutions, message = [], f"{path}:1: "
    try:
        solutions = list(read_solutions(path))
    except UserError as error:
        message = str(error)
    assert message.startswith(f"{path}:1: ")
    for solution in solutions:
        assert len(solution.labels) == len(solution.steps) > 0
        assert all(isinstance(text, str) for text in (solution.key, solution.problem, *solution.steps))
        assert all(label in (True, False, None) for label in solution.labels)


def test_a_reference_solution_is_shown_to_the_judge() -> None:
    solution = LabelledSolution("k", "What is 1 + 1?", ["2"], [True], reference="It is 2.")
    (shown,) = join_completions(*build_tables([solution]))
    assert (shown.problem, shown.reference, shown.steps) == ("What is 1 + 1?", "It is 2.", ("2",))


def test_a_rule_that_compares_the_answer_labels_a_solution_as_it_does_in_a_round(tmp_path: Path) -> None:
    path = tmp_path / "read.jsonl"
    row = {
        "prompt": "Ann has 2 bags of 3 nuts and eats 1. How many are left?",
        "reference": "There are 2 * 3 = 6 nuts.\nOf these 6 - 1 = 5 are left.\nThe answer is \\boxed{5}.",
        "completions": ["There are 2 * 3 = 6 nuts.\n", "There are 6 - 1 = 5 left.\n", "The answer is \\boxed{5}."],
        "labels": [True, True, True],
    }
    found = {}
    for name, answer in (("stated", {"answer": "5"}), ("not stated", {}), ("another", {"answer": "6"})):
        path.write_text(json.dumps(row | answer), encoding="utf-8")
        tables = build_tables(list(read_solutions(path)))
        (completion,) = join_completions(*tables)
        judge = ReferenceJudge(JudgeParams(kind="reference"), 0)
        found[name] = [label for label, _ in judge.apply_rule(completion)]
    assert found["stated"] == [True, True, True]
    assert found["not stated"][-1] is found["another"][-1] is None
    assert len({each.problem_id for each in (LabelledSolution("k", "p", ["1"], [True], answer=a) for a in "12")}) == 2


def test_metrics_of_solutions_with_a_label_on_every_step() -> None:
    T, F, U = True, False, None
    solutions = [
        LabelledSolution("a", "p", ["1", "2", "3", "4"], [T, F, T, F]),
        LabelledSolution("b", "p", ["1", "2"], [T, T]),
        LabelledSolution("c", "p", ["1", "2", "3"], [T, U, U]),
    ]
    labels = dict(
        zip((it.sample_id for it in solutions), ([T, F, F, F], [T, U], [T, F, T]), strict=True)
    )  # fmt: skip
    found = compute_metrics(solutions, labels)
    assert found["steps"]["confusion"] == {
        "correct": {"correct": 3, "incorrect": 1, "unknown": 1},
        "incorrect": {"correct": 0, "incorrect": 2, "unknown": 0},
    }
    assert found["steps"]["precision_of_incorrect"] == round(2 / 3, 6)
    assert found["steps"]["recall_of_correct"] == 0.6
    assert found["steps"]["precision_of_correct"] == 1.0
    assert found["steps"]["f1_of_correct"] == 0.75
    assert found["steps"]["unknown"] == round(1 / 9, 6)
    assert (found["accuracy_on_erroneous"], found["accuracy_on_correct"]) == (1.0, 0.0), "c counts in neither"
    assert found["sensitivity"] == {"value": 1.0, "denominator": 1}


def test_intervals_hold_their_rates_and_narrow_with_more_solutions() -> None:
    def measure(count: int) -> dict[str, Any]:
        solutions = [LabelledSolution(f"s{at}", "p", ["1", "2"], [True, at % 2 == 0]) for at in range(count)]
        labels = {it.sample_id: [True, (at // 2) % 4 != 0] for at, it in enumerate(solutions)}
        return compute_metrics(solutions, labels)

    few, many = measure(40), measure(800)
    for name in ("f1", "accuracy_on_erroneous", "sensitivity"):
        value = few[name]["value"] if isinstance(few[name], dict) else few[name]
        low, high = few["intervals"][name]
        assert low < value < high
        assert high - low > 2 * (many["intervals"][name][1] - many["intervals"][name][0])
    assert few == measure(40), "the draws are fixed"
    assert compute_metrics([], {})["intervals"]["f1"] == [None, None]
