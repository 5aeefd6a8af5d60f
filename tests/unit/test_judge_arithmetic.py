"""The arithmetic judge: every case of the data file, random true and false equalities, any text, and real solutions."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.judge import JudgeParams
from stages.common.tables import PROBLEM, SAMPLE, STEP
from stages.judge import judge_samples
from stages.judge.calibration import calibrate_judges
from stages.judge.calibration.benchmark_formats import read_solutions
from stages.judge.calibration.first_errors import FirstError, count_first_errors, list_first_errors
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.rules.arithmetic import judge_arithmetic
from stages.judge.rules.arithmetic.equalities import MAX_EQUALITIES, MAX_STEP_CHARS, MAX_VALUE_CHARS, find_equalities
from stages.judge.rules.arithmetic.expression import MAX_DEPTH, evaluate
from stages.judge.rules.arithmetic.tokens import tokenize
from stages.judge.rules.arithmetic.values import AmbiguityError, Value, make_exact

CASES: list[dict[str, Any]] = json.loads(Path("tests/data/arithmetic_steps.json").read_text(encoding="utf-8"))
REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))


def label(step: str, problem: str = "") -> bool | None:
    return judge_arithmetic(problem, [step])[0][0]


def value_of(expression: str) -> Value:
    return evaluate([token for token in tokenize(expression) if token.kind != "break"])


def test_cases_are_many_and_say_where_they_come_from() -> None:
    assert len(CASES) >= 80
    assert all(case["source"] and case["reason"] for case in CASES)
    assert {case["expected"] for case in CASES} == {False, None}
    assert len({case["step"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("kind", sorted({case["reason"] for case in CASES}))
def test_cases(kind: str) -> None:
    for case in CASES:
        if case["reason"] == kind:
            got, reason = judge_arithmetic("", [case["step"]])[0]
            assert got is case["expected"], f"{case['step']!r}: {reason}"


@pytest.mark.skipif(not (REAL / "faults").is_dir(), reason=f"no real data at {REAL} (STEPKTO_REAL_DATA)")
def test_faults_found_elsewhere() -> None:
    rows = [json.loads(line) for line in (REAL / "faults/labels.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [row["input"]["step"] for row in rows if row["area"] == "arithmetic judge"]
    assert len(steps) >= 20
    assert {row["expected"] for row in rows if row["area"] == "arithmetic judge"} == {"unknown (label null)"}
    assert [step for step in steps if label(step) is not None] == []


def test_reasons_say_what_is_wrong() -> None:
    assert judge_arithmetic("", ["48/2 = 25"]) == [(False, "48 / 2 = 25: 24 is not 25")]
    assert judge_arithmetic("", [r"So $2 \cdot 3 = 6$."]) == [(None, "none of 1 equalities is false, 1 are true")]
    assert judge_arithmetic("", ["No sums here."]) == [(None, "states no equality")]
    assert judge_arithmetic("", ["2^4000 = 3"])[0][1].startswith("2 ^ 4000 = 3: a number of ")
    assert judge_arithmetic("", ["40000^1000 = 3"])[0] == (False, "40000 ^ 1000 = 3: a number of many digits is not 3")


def test_steps_are_judged_one_by_one() -> None:
    verdicts = judge_arithmetic("", ["2 + 2 = 4", "2 + 2 = 5", "2 + 3 = 6", ""])
    assert [verdict for verdict, _ in verdicts] == [None, False, False, None]
    assert judge_arithmetic("", []) == []


@pytest.mark.parametrize(
    "problem",
    ["Add in base 7.", "Compute $13_5 + 4_5$.", r"Define $a \star b$.", "Find it modulo 7.", "The operation @ is"],
)
def test_problems_of_other_arithmetic_are_left_alone(problem: str) -> None:
    assert label("3 + 4 = 10", problem) is None
    assert label("3 + 4 = 10", "The base of a triangle is 7.") is False


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("12 / 4 * 3", 9), ("2^10", 1024), ("2^{-2}", Fraction(1, 4)),
        (r"\frac{1}{2} + \frac{1}{3}", Fraction(5, 6)), (r"\sqrt{\frac{9}{4}}", Fraction(3, 2)), ("4! / 3!", 4),
        (r"\binom{6}{3}", 20), ("3(4)(5)", 60), ("7 - -2", 9), ("1,234.5 * 2", 2469), (".5 * 4", 2), ("3² + 4³", 73),
        ("20% of 50", 10), ("50% / 2", Fraction(1, 4)), (r"2 \left( 1 + 1 \right)", None), ("1 / 2 / 3", None),
        ("1 / 0", None), ("0^0", None), ("(-4)^{1/2}", None), (r"\sqrt{-1}", None), ("2^3^2", None), ("-3^2", None),
        ("9" * 50, None), ("10^{99999}", None), ("9999!", None), (r"\binom{9999}{2}", None), ("(1]", None), ("", None),
        ("(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1), None), (" + ".join("1" * 200), None), ("2 3", None),
    ],
)  # fmt: skip
def test_values(expression: str, value: int | Fraction | None) -> None:
    if value is None:
        with pytest.raises(AmbiguityError):
            value_of(expression)
    else:
        read = value_of(expression)
        assert (read.low, read.high) == (value, value)


def test_irrational_and_rounded_values_are_intervals_that_hold_them() -> None:
    two = value_of(r"\sqrt{2}") * value_of(r"\sqrt{2}")
    assert two.low < 2 < two.high
    assert two.high - two.low < Fraction(1, 10**30)
    third = value_of("0.33")
    assert third.low < Fraction(1, 3) < third.high
    pi = value_of(r"\pi")
    assert pi.low <= Fraction(314, 100) < Fraction(22, 7) <= pi.high


@given(st.fractions(-50, 50), st.fractions(-50, 50), st.fractions(0, 5), st.fractions(0, 1), st.integers(-4, 4))
def test_intervals_hold_every_value(a: Fraction, b: Fraction, width: Fraction, share: Fraction, power: int) -> None:
    first, second = Value(a, a + width), Value(b, b + width)
    x, y = a + share * width, b + (1 - share) * width
    results = [(first + second, x + y), (first * second, x * y), (-first, -x)]
    if not second.low <= 0 <= second.high:
        results += [(second.invert(), 1 / y), (second.raise_to(make_exact(power)), y**power)]
    if a >= 0:
        root = first.compute_root()
        assert root.low**2 <= x <= root.high**2
    assert all(interval.low <= number <= interval.high for interval, number in results)


class Sum:
    """An expression as it is written in some style, and its value."""

    def __init__(self, text: str, value: Fraction) -> None:
        self.text, self.value = text, value


SIGNS = {
    "plain": ("+", "-", "*", "/"),
    "typed": ("+", "−", "×", "÷"),
    "latex": ("+", "-", r"\times", r"\div"),
    "dots": ("+", "-", r"\cdot", "/"),
}


@st.composite
def sums(draw: st.DrawFn, depth: int = 3, style: str | None = None) -> Sum:
    style = style or draw(st.sampled_from(sorted(SIGNS)))
    left, right = (
        draw(sums(depth=depth - 1, style=style))
        if depth > 1 and draw(st.booleans())
        else Sum(str(number := draw(st.integers(1, 400))), Fraction(number))
        for _ in range(2)
    )
    operation = draw(st.integers(0, 3))
    if operation == 3 and right.value == 0:
        operation = 0
    value = [left.value + right.value, left.value - right.value, left.value * right.value, None][operation]
    if value is None and style == "latex":
        return Sum(rf"\frac{{{left.text}}}{{{right.text}}}", left.value / right.value)
    sides = [f"({side.text})" if not side.text.isdigit() else side.text for side in (left, right)]
    text = f"{sides[0]} {SIGNS[style][operation]} {sides[1]}"
    return Sum(text, left.value / right.value if value is None else value)


def stated(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{number.numerator}/{number.denominator}"


FRAMES = ["{}", "So {}.", "The total is {}, so we go on.", "Step 2: {}", "- {}", "1. {} apples.", "We get ${}$.",
          r"\[ {} \]", r"Total \({}\) and so on", "**{}**", "First we see\n{}\nand then rest."]  # fmt: skip
frames = st.sampled_from(FRAMES)


@settings(max_examples=300)
@given(sums(), frames, st.booleans())
def test_true_equalities_are_never_false(expression: Sum, frame: str, turned: bool) -> None:
    sides = [expression.text, stated(expression.value)]
    text = " = ".join(reversed(sides) if turned else sides)
    assert label(frame.replace("{}", text)) is None
    assert label(f"Ana has <<{sides[0]}={sides[1]}>>{sides[1]} apples.") is None


@settings(max_examples=300)
@given(sums(), frames, st.integers(0, 4), st.sampled_from([-1, 0, 1]))
def test_roundings_are_never_false(expression: Sum, frame: str, decimals: int, toward: int) -> None:
    scaled = expression.value * 10**decimals
    whole = {-1: scaled.__floor__(), 0: round(scaled), 1: scaled.__ceil__()}[toward]
    digits = str(abs(whole)).rjust(decimals + 1, "0")
    written = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    sign = "-" if whole < 0 else ""
    assert label(frame.replace("{}", f"{expression.text} = {sign}{written}")) is None


@settings(max_examples=300)
@given(sums(), st.sampled_from([frame for frame in FRAMES if frame != "- {}"]), st.integers(-50, 50).filter(bool))
def test_changed_results_are_false(expression: Sum, frame: str, change: int) -> None:
    assume(expression.value.denominator == 1)
    assume("apples" not in frame or expression.value > 0)  # a unit makes room for conversions
    wrong = expression.value + change
    text = f"{expression.text} = {stated(wrong)}"
    ratios = {expression.value / wrong, wrong / expression.value} if wrong and expression.value else set()
    marked = any(sign in frame for sign in ("apples", "$"))
    assume(not (marked and any(ratio.denominator == 1 for ratio in ratios)))
    assert label(frame.replace("{}", text)) is False


PARTS = ["1", "23", "0.5", "1,000", "=", "=", "+", "-", "*", "/", "^", "(", ")", "{", "}", "[", "]", r"\frac", r"\sqrt",
         r"\binom", r"\pi", r"\times", "x", "apples", "of", "and", "Step", "$", "%", r"\%", "!", "<<", ">>", "\n", ". ",
         ", ", " ", "- ", "\\\\", r"\(", r"\]", r"\text{", "°", "²", "…", "?", ":", "\ud800", "٣", "√",
         "&"]  # fmt: skip


@settings(max_examples=1000)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PARTS), max_size=40).map("".join)))
def test_no_text_raises_and_none_is_called_right(text: str) -> None:
    verdicts = judge_arithmetic(text, [text, f"{text} = 3", f"2 + 2 = 4{text}"])
    assert len(verdicts) == 3
    assert all(verdict in (False, None) and reason for verdict, reason in verdicts)


@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join))
def test_what_stands_around_a_true_equality_makes_nothing_false(text: str) -> None:
    assume("<" not in text and "=" not in text)
    assert label(f"{text}\n\n2 + 2 = 4.\n\n{text}") is None


@pytest.mark.parametrize(
    "part",
    ["(", "{", "1", "1,234,", "1 times 1 ", "half of 1 is ", "adding 1 and ", "sqrt", "x = 1, ", "√1", "1.000 + ",
     "1+", "1=", "1 + 1 = 2. ", "<<1+1=3", "<<", r"\frac{1}{", r"\text{", "a ", "9^9^", " ", "\n", "-", "1!",
     "\\", "$", ".", "=", r"\begin{align}", "1 x ", "1\n=", "(a) ", "[1]", "2^{9}*", "if "],
)  # fmt: skip
def test_a_megabyte_returns(part: str) -> None:
    text = part * (1_000_000 // len(part))
    assert label(text) in (None, False)
    assert len(judge_arithmetic("", [text])[0][1]) < 400


def test_work_and_reasons_are_bounded() -> None:
    assert len(list(find_equalities("1 + 1 = 2\n" * 3000))) == MAX_EQUALITIES
    long = f"{'1 + ' * 60}1 = 7"
    assert label(long) is False
    assert len(judge_arithmetic("", [long])[0][1]) < 200 + 2 * MAX_VALUE_CHARS
    assert label("words " * MAX_STEP_CHARS + "1 + 1 = 3") is None, "beyond what is read"
    before = " " * (MAX_STEP_CHARS - len("1 + 9 = 1"))
    assert label(f"{before}1 + 9 = 10") is None, "a number that is cut in two"


def test_the_stage_takes_it_as_a_kind() -> None:
    text = "2 + 2 = 4\n2 + 3 = 6\n"
    problem = pl.DataFrame([dict.fromkeys(PROBLEM.schema, "p") | {"origin_row": 0}], schema=PROBLEM.schema)
    sample = dict.fromkeys(SAMPLE.schema) | {"problem_id": "p", "sample_id": "s", "completion": text}
    steps = [
        dict.fromkeys(STEP.schema)
        | {"problem_id": "p", "sample_id": "s", "step": i, "start": 10 * i, "end": 10 * i + 10}
        for i in range(2)
    ]
    params = JudgeParams(kind="arithmetic")
    samples = pl.DataFrame([sample], schema=SAMPLE.schema)
    judged = judge_samples(problem, samples, pl.DataFrame(steps, schema=STEP.schema), params, 0).labels
    assert judged["label"].to_list() == [None, False]
    assert judged["first_error"].to_list() == [1, 1]
    assert judged["reason"][1] == "2 + 3 = 6: 5 is not 6"


def solution(key: str, error: int | None, *steps: str) -> LabelledSolution:
    return LabelledSolution.from_first_error(key, "p", list(steps), error)


def first_errors(solutions: list[LabelledSolution]) -> list[FirstError]:
    labels = judge_samples(*build_tables(solutions), JudgeParams(kind="arithmetic"), 0).labels
    return list_first_errors(solutions, labels)


def test_scores() -> None:
    solutions = [
        solution("a", 0, "1 + 1 = 3"),
        solution("b", 0, "no", "1 + 1 = 3"),
        solution("c", 1, "1 + 1 = 3", "no"),
        solution("d", None, "1 + 1 = 3"),
        solution("e", None, "1 + 1 = 2"),
        solution("f", 0, "no"),
    ]
    found = first_errors(solutions)
    kinds = {error.solution.key: error.kind for error in found}
    assert kinds == {"a": "correct", "b": "late", "c": "false alarm", "d": "false alarm"}
    result = count_first_errors(solutions, found)
    assert list(result.items())[:5] == [
        ("solutions", 6),
        ("errors", 4),
        ("correct", 1),
        ("late", 1),
        ("false_alarms", 2),
    ]
    assert (result["precision"], result["precision_where_labelled"]) == (1 / 4, round(1 / 3, 6))
    assert (result["precision_at_or_after"], result["recall"]) == (1 / 2, 1 / 4)
    assert count_first_errors([], [])["precision"] is None
    assert {each.split for each in (solution(str(i), None) for i in range(50))} == {"dev", "test"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


ROW = {"id": "a", "problem": "p", "steps": ["ok", "1 + 1 = 3"], "label": 1}


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROW, ROW | {"id": "b", "label": -1})
    lines = "\n".join(calibrate_judges([path], ["arithmetic"], show=["false alarm"])).splitlines()
    assert lines[2].split() == ["rows.jsonl", "all", "2", "1", "1", "0", "1", "0.500", "0.500", "0.500", "1.000"]
    assert "false alarm: b step 1, first error none: 1 + 1 = 3: 2 is not 3" in lines
    assert not any("correct: a" in line for line in lines)


@pytest.mark.parametrize(
    "row", ["{", [1], {}, ROW | {"steps": "x"}, ROW | {"steps": [1]}, ROW | {"label": 2}, ROW | {"label": "1"}]
)
def test_a_bad_row_is_named(tmp_path: Path, row: object) -> None:
    path = write(tmp_path / "rows.jsonl", ROW, row)
    with pytest.raises(
        ValueError, match=r"rows\.jsonl:2: (not JSON|expected an object|expected|label: expected|steps: )"
    ):
        list(read_solutions(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl: no such file"):
        list(read_solutions(tmp_path / "nowhere.jsonl"))


def first_errors_on_real_solutions() -> tuple[list[LabelledSolution], list[FirstError]]:
    paths = [REAL / "processbench" / name for name in ("gsm8k.jsonl", "math.jsonl")]
    for path in paths:
        if not path.exists():
            pytest.skip(f"{path}: real data not here")
    solutions = [each for path in paths for each in read_solutions(path)]
    return solutions, first_errors(solutions)


@pytest.mark.slow
def test_precision_on_real_solutions() -> None:
    """People labelled the steps up to the first error; a false equality after that is false, and not their label."""
    solutions, errors = first_errors_on_real_solutions()
    result = count_first_errors(solutions, errors)
    assert result["solutions"] == 1400
    assert (result["correct"] or 0) >= 50, "it must find something"
    assert (result["precision_where_labelled"] or 0) >= 0.95
    assert (result["precision_at_or_after"] or 0) >= 0.95
    clean = [error for error in errors if error.solution.first_error is None]
    assert not clean, "no solution that people found free of errors is called wrong"


@pytest.mark.slow
def test_few_reference_solutions_are_called_wrong() -> None:
    """Those that are state a false equality, as "70 + 40 = 100": there are 20 among all 7,473, each one read."""
    path = REAL / "gsm8k" / "train.jsonl"
    if not path.exists():
        pytest.skip(f"{path}: real data not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:3000]]
    steps = [step for row in rows for step in row["answer"].splitlines()]
    found = [equality.is_true for step in steps for equality in find_equalities(step)]
    assert found.count(True) > 15_000
    assert found.count(False) <= 10
