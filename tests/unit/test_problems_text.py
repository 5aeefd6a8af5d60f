"""What the problems stage reads out of texts: boxes, drop reasons, words."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.common.gold_answers import GOLD_RULES, no_answers
from stages.common.gold_answers.answer_key import make_comparison_key
from stages.common.gold_answers.boxes import find_boxes
from stages.common.gold_answers.math_gold import (
    find_boxed_answer,
    find_reason_against,
    has_different_answers,
)
from stages.common.params.problems import DecontaminationParams, FilterParams
from stages.common.raw_rows import parse_line, read_file
from stages.problems.candidate import Candidate, read_candidate
from stages.problems.contamination import EvaluationSet, read_evaluation_sets
from stages.problems.near_duplicates import compute_jaccard, find_near_duplicates, hash_shingles
from stages.problems.problem_filters import find_drop_reason, find_gold_answer
from stages.problems.question_filters import asks_for_proof_only, find_parts, has_multiple_questions, needs_figure

DATA = Path(__file__).parents[1] / "data"
REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
FILTERS = FilterParams(
    drop_sources=["orca_math", "synthetic_math", "synthetic_amc"],
    drop_proofs=True,
    drop_multiple_questions=True,
    drop_figures=True,
    drop_non_text=True,
    max_chars=20_000,
)
MATH = GOLD_RULES.get("math")()
NOTHING = FILTERS.model_copy(
    update={name: False for name in FilterParams.model_fields if name.startswith("drop_")} | {"drop_sources": []}
)


def cases(name: str) -> list[Any]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def real(name: str) -> Path:
    if not (REAL / name).is_file():
        pytest.skip(f"{REAL / name} is missing; set STEPKTO_REAL_DATA to the folder of real data")
    return REAL / name


def judge(candidate: Candidate | str) -> tuple[str | None, str | None]:
    """Drop reason and gold answer, one of them None."""
    if isinstance(candidate, str):
        return candidate, None
    reason = find_drop_reason(candidate, FILTERS)
    if reason is not None:
        return reason, None
    answer, fault = find_gold_answer(candidate, FILTERS, MATH)
    return fault or None, answer


@pytest.mark.parametrize("case", cases("boxes.jsonl"), ids=lambda case: repr(case["text"])[:40])
def test_the_last_box_is_found(case: dict[str, Any]) -> None:
    assert find_boxed_answer(case["text"]) == case["answer"]


@pytest.mark.parametrize("case", cases("questions.jsonl"), ids=lambda case: repr(case["problem"])[:40])
def test_a_problem_is_dropped_for_the_reason_that_a_person_sees(case: dict[str, Any]) -> None:
    assert find_drop_reason(Candidate("olympiads", case["problem"], "So \\boxed{1}.", None), FILTERS) == case["reason"]
    assert find_drop_reason(Candidate("olympiads", case["problem"], "So \\boxed{1}.", None), NOTHING) is None


def test_real_rows_are_judged_as_a_person_judged_them() -> None:
    rows = list(read_file(real("numina/numina_math_cot.jsonl")))
    expected = {case["line"]: (case["reason"], case["answer"]) for case in cases("numina_rows.jsonl")}
    assert {line: judge(read_candidate(rows[line - 1].value)) for line in expected} == expected


@pytest.mark.parametrize(
    "name", ["benchmarks/math500.jsonl", "benchmarks/amc23.jsonl", "benchmarks/aime24.jsonl", "gsm8k/train.jsonl"]
)
def test_no_problem_with_one_answer_is_taken_for_a_proof_or_several_questions(name: str) -> None:
    wrong = []
    for row in read_file(real(name)):
        problem = row.value.get("problem") or row.value["question"]
        if asks_for_proof_only(problem) or has_multiple_questions(problem):
            wrong.append((row.location, problem))
    assert wrong == []


def test_figures_are_seen_where_there_are_some_and_hardly_elsewhere() -> None:
    texts = [row.value["problem"] for row in read_file(real("benchmarks/math500.jsonl"))]
    drawn = [text for text in texts if "[asy]" in text]
    assert drawn
    assert all(map(needs_figure, drawn))
    stories = [row.value["question"] for row in read_file(real("gsm8k/train.jsonl"))]
    assert sum(map(needs_figure, stories)) <= 2  # stories without figures, of which some mention pictures


def test_the_box_of_a_real_solution_is_the_recorded_answer() -> None:
    rows = [row.value for row in read_file(real("recorded/math_100x8.jsonl"))]
    differing = {
        row["idx"]: (find_boxed_answer(row["reference_solution"]), row["answer"])
        for row in rows
        if make_comparison_key(find_boxed_answer(row["reference_solution"]) or "") != make_comparison_key(row["answer"])
    }
    # Units and signs that the authors of the recorded answers took off, and nothing else.
    assert len(differing) <= 8, differing
    for box, answer in differing.values():
        assert box is not None
        assert answer.rstrip(".").replace(" ", "")[:2] in box.replace(" ", "")


nested = st.recursive(
    st.text(alphabet="ab1 +\\{}$,.", max_size=4).filter(lambda text: "{" not in text and "}" not in text),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
    max_leaves=6,
).filter(lambda text: not text.endswith("\\"))


@given(st.text(alphabet="ab {}1\n"), nested.filter(lambda text: "\\" not in text), st.text(alphabet="ab 1\n"))
def test_whatever_is_boxed_comes_back(before: str, content: str, after: str) -> None:
    assert find_boxed_answer(f"{before}; \\boxed{{{content}}}{after}") == content.strip()


@example(["\\boxed{", "\\boxed ", "5", "$", "}"])
@given(st.lists(st.sampled_from(["\\boxed{", "\\boxed ", "\\fbox{", "{", "}", "\\{", "\\", "$", "5", " and ", "\n"])))
def test_any_heap_of_braces_gives_boxes_that_lie_in_the_text_in_order(pieces: list[str]) -> None:
    text = "".join(pieces)
    end = 0
    for box in find_boxes(text):
        assert end <= box.start < box.end <= len(text)
        assert box.start <= box.inner_start <= box.inner_end <= box.end
        end = box.end
    assert (find_boxed_answer(text) is None) == (find_boxes(text) == [])
    assert has_different_answers(text) in (True, False)


def test_a_heap_of_open_boxes_is_read_in_one_pass() -> None:
    assert find_boxed_answer("\\boxed{" * 200_000) is None
    assert find_boxed_answer("\\boxed{" * 100_000 + "7" + "}" * 100_000) == "7"


@given(st.text())
def test_checks_take_any_text(text: str) -> None:
    reason, answer = judge(Candidate("olympiads", text, text, None))
    assert (reason is None) != (answer is None)
    stem, parts = find_parts(text)
    assert stem + "".join(parts) == text


@pytest.mark.parametrize(
    "answer",
    [
        "See solution",
        "see the proof above.",
        "\\text{Proved}",
        "The statement is proven.",
        "Q.E.D.",
        "",
        "notfound",
        "null",
        "\\text{Solution complete}",
    ],
)
def test_answers_that_say_nothing(answer: str) -> None:
    assert find_reason_against(answer) == "answer is no result"


@pytest.mark.parametrize("answer", ["0", "A", "\\text{even}", "\\text{no solution}", "x \\text{ or } y", "\\emptyset"])
def test_answers_that_say_something(answer: str) -> None:
    assert find_reason_against(answer) is None


@pytest.mark.parametrize(
    "answer",
    ["(1) 3 (2) 5", "1) 3; 2) 5", "\\text{(a) } 3, \\text{ (b) } x", "(i) yes (ii) no", "①3②5"],
)
def test_answers_of_several_questions(answer: str) -> None:
    assert find_reason_against(answer) == "answer has several parts"


@pytest.mark.parametrize("answer", ["(1, 2)", "f(1) = 3, f(2) = 5", "①③", "①, ②", "(1)(2)", "P(A) = 0.3", "a) 5"])
def test_answers_of_one_question(answer: str) -> None:
    assert find_reason_against(answer) is None


def test_every_placeholder_has_a_source() -> None:
    rows = json.loads((Path(no_answers.__file__).parent / "no_answers.json").read_text(encoding="utf-8"))
    assert all(row["source"] and find_reason_against(row["text"]) == "answer is no result" for row in rows)


def test_answers_that_differ_in_looks_only_are_the_same() -> None:
    assert make_comparison_key("x = \\dfrac{1}{2}.") == make_comparison_key("\\frac{1}{2}")
    assert make_comparison_key("\\textbf{(113) }") == make_comparison_key("113")
    assert make_comparison_key("025") == make_comparison_key("25")
    assert make_comparison_key("\\left( 1, 2 \\right)") == make_comparison_key("(1,2)")
    assert make_comparison_key("0.25") != make_comparison_key("25")
    assert make_comparison_key("-3") != make_comparison_key("3")
    assert make_comparison_key("\\frac12") == make_comparison_key("\\dfrac{1}{2}")
    assert make_comparison_key("\\frac{1}{23}") != make_comparison_key("\\frac{12}{3}")


def test_given_answers_count_before_the_box() -> None:
    row = {"source": "s", "problem": "p", "solution": "\\boxed{1} or rather \\boxed{2}"}
    assert judge(read_candidate({**row, "answer": 27.0})) == (None, "27")
    assert judge(read_candidate({**row, "answer": 0})) == (None, "0")
    assert judge(read_candidate({**row, "answer": "025"})) == (None, "025")
    assert judge(read_candidate({**row, "answer": None})) == judge(read_candidate({**row, "answer": " "}))
    assert judge(read_candidate({**row, "answer": ["1"]})) == ("answer not text or number", None)
    assert judge(read_candidate({**row, "answer": True})) == ("answer not text or number", None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["problem", "solution", "x"]), inner),
    max_leaves=8,
)


@given(st.binary())
def test_any_bytes_are_a_value_or_a_fault(line: bytes) -> None:
    value, fault = parse_line(line)
    assert fault in (None, "not UTF-8", "not JSON", "blank line")
    assert value is None or fault is None


@given(st.dictionaries(st.sampled_from(["source", "problem", "solution", "answer", "messages"]), json_values))
def test_any_json_is_a_candidate_or_a_reason(value: dict[str, Any]) -> None:
    parsed, fault = parse_line(json.dumps(value).encode("ascii"))
    assert fault is None
    candidate = read_candidate(parsed)
    if isinstance(candidate, Candidate):
        assert all(text.strip() for text in (candidate.source, candidate.problem, candidate.solution))
    reason, answer = judge(candidate)
    assert (reason is None) != (answer is None)


@pytest.mark.parametrize("line", [b"[" * 100_000, b"9" * 100_000, b'{"a": NaN', b"{'a': 1}", b"\x00"])
def test_lines_made_to_break_parsers(line: bytes) -> None:
    assert parse_line(line) == (None, "not JSON")


TEXTS = [
    "A train leaves the station at noon with 12 wagons and 30 people in each wagon. How many people are there in all?",
    "A train leaves the station at noon with 12 wagons and 30 people in each wagon. How many people were there in all?",
    "Find the number of primes below one hundred that leave the remainder one when they are divided by four.",
    "",
    "?",
]


def test_near_duplicates_are_found_and_the_first_is_kept() -> None:
    dropped = find_near_duplicates(TEXTS, 3, 0.6, TEXTS)
    assert list(dropped) == [1]
    assert dropped[1][0] == 0
    assert dropped[1][1] == compute_jaccard(hash_shingles(TEXTS[0], 3), hash_shingles(TEXTS[1], 3)) >= 0.6
    assert find_near_duplicates(TEXTS, 3, 1.0, TEXTS) == {}
    assert find_near_duplicates([], 3, 0.6, []) == {}


def test_what_differs_in_looks_only_is_a_near_duplicate_at_any_threshold() -> None:
    texts = ["Find $\\dfrac{x}{2} \\leq 5$.", "find  \\(\\frac{x}{2}\\le 5\\)"]
    assert find_near_duplicates(texts, 5, 1.0, ["1", "2"]) == {1: (0, 1.0)}


def test_problems_of_one_template_are_no_near_duplicates() -> None:
    texts = [TEXTS[0], TEXTS[0].replace("12", "14"), TEXTS[0].replace("noon", "night"), TEXTS[0].replace("30", "31")]
    assert set(find_near_duplicates(texts, 3, 0.5, ["360", "420", "360", "372"])) == {2}
    assert set(find_near_duplicates(texts, 3, 0.5, ["360", "360", "360", "372"])) == {1, 2}


def test_near_duplicates_agree_with_comparing_every_pair() -> None:
    texts = [row.value["question"] for row in read_file(real("gsm8k/train.jsonl"))][:600]
    texts += [" ".join(text.split()[2:]) for text in texts[:60]]
    grams = [hash_shingles(text, 2) for text in texts]
    kept: list[int] = []
    expected = set()
    for index in range(len(texts)):
        alike = any(compute_jaccard(grams[other], grams[index]) >= 0.7 for other in kept)
        expected.add(index) if alike else kept.append(index)
    assert len(expected) >= 50
    found = set(find_near_duplicates(texts, 2, 0.7, [""] * len(texts)))
    assert found <= expected
    assert len(found) >= 0.98 * len(expected)


WRAPPERS = [
    "{}", "Solve: {}", "Question: {}\nAnswer:", "{}\nA. 6 B. 9 C. 12 D. 4", "Problem 3. {}", '"{}"', "[MATH] {}",
    "**{}**", "Please solve this.\n\n{}\n\nPut your final answer in \\boxed{}.", "{} (10 points)",
    "Example 7: {} Show your work.", "- {}\n- (A) 1\n- (B) 2",
]  # fmt: skip


def read_evaluation_set(path: Path, ngram: int) -> EvaluationSet:
    evaluation = read_evaluation_sets(DecontaminationParams(files=[str(path)], ngram=ngram), {})
    assert evaluation is not None
    return evaluation


def test_every_evaluation_problem_is_found_in_any_wrapper() -> None:
    path = real("benchmarks/math500.jsonl")
    evaluation = read_evaluation_set(path, 10)
    problems = [str(row.value["problem"]) for row in read_file(path)]
    for wrapper in WRAPPERS:
        wrapped = [wrapper.replace("{}", problem, 1) for problem in problems]
        assert [text for text in wrapped if evaluation.find_overlap(text) is None] == []
        assert [text for text in map(str.upper, wrapped) if evaluation.find_overlap(text) is None] == []
    school = [row.value["question"] for row in read_file(real("gsm8k/train.jsonl"))]
    assert [text for text in school if evaluation.find_overlap(text) is not None] == []


def test_evaluation_problems_are_found_in_other_looks(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.jsonl"
    rows = [
        {"problem": "What is $2 + 2$?"},
        {"question": "Find the number of positive integers below $\\dfrac{100}{3}$."},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    evaluation = read_evaluation_set(path, 6)
    planted = evaluation.find_overlap("Let us FIND THE NUMBER OF POSITIVE INTEGERS\nbelow \\(\\frac{100}{3}\\)")
    assert planted is not None
    assert planted.evaluation == f"{path}:2"
    assert planted.ngram == "find the number of positive integers"
    assert evaluation.find_overlap("what is 2 + 2") is not None
    assert evaluation.find_overlap("Solve: **What is 2 + 2?**\n- (A) 4") is not None
    assert (
        evaluation.find_overlap("What is 2 + 2 + 2?") is not None
    )  # rather one problem less than one test problem more
    assert evaluation.find_overlap("What is 2 - 2?") is None
    assert evaluation.find_overlap("Find the number of positive primes below one hundred.") is None


@pytest.mark.parametrize("content", ["", "\n", '{"problem": null}\n', '{"text": "x"}\n', "[1]\n", '{"problem": "x"\n'])
def test_an_evaluation_file_that_cannot_be_read_whole_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "evaluation.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"evaluation\.jsonl"):
        read_evaluation_set(path, 6)
