"""The reference judge, and rules in order: what they call correct, and how often people agree."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.judge import JudgeParams
from stages.judge.labelling import make_judge
from stages.judge.rules.reference import ReferenceJudge
from stages.judge.rules.reference.computations import MAX_SUBSTITUTIONS, Computation, read_reference
from stages.judge.step_labels import CompletionSteps

REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
PROBLEM = "Ana sells 48 clips in April and half as many in May. How many in all?"
REFERENCE = "In May she sold 48/2 = <<48/2=24>>24 clips. In all 48+24 = <<48+24=72>>72 clips."


def judge(*steps: str, reference: str = REFERENCE, answer: str = "72", problem: str = PROBLEM) -> list[bool | None]:
    completion = CompletionSteps("s", "p", problem, reference, steps, answer)
    return [label for label, _ in ReferenceJudge(JudgeParams(kind="reference"), 0).apply_rule(completion)]


def test_the_computations_of_the_reference_are_correct_and_false_ones_incorrect() -> None:
    assert judge("In May: 48 / 2 = 24 clips. ", "Total: 24 + 48 = 72. ", "The answer is 72.") == [True, True, True]
    assert judge("In May: 48 / 2 = 25 clips. ", "So 48 + 24 = 72. ", "The answer is 72.") == [False, True, True]
    assert judge("Let us see. ", "She sold 48 * 2 = 96 in May. ", "The answer is 72.") == [None, None, True]


def test_every_computation_of_a_step_must_be_known() -> None:
    assert judge("48 / 2 = 24 and 24 / 2 = 12. ", "The answer is 72.") == [None, True]
    assert judge("48 / 2 = 24 and 48 + 24 = 72. ", "The answer is 72.") == [True, True]
    assert judge("48 / 2 = 24, and then it would be 48 + 24 = 73. ", "The answer is 72.") == [None, True]
    assert judge("Sold = 48 / 2 = 24 clips. ", "The answer is 72.") == [True, True]


def test_where_the_answer_is_wrong_the_last_step_that_agrees_is_unknown() -> None:
    assert judge("48 / 2 = 24. ", "48 + 24 = 72. ", "So the answer is 73.") == [True, None, None]
    assert judge("48 / 2 = 24. ", "The answer is 24.") == [None, None]


def test_the_last_step_needs_the_answer_in_its_own_words() -> None:
    assert judge("48 / 2 = 24. ", r"So \boxed{72}.") == [True, True]
    assert judge("The answer is 72. ", "That was easy.")[-1] is None
    assert judge("48 / 2 = 24. ", "48 + 24 = 73, so the answer is 72.") == [True, False]


def test_parts_and_results_put_in_are_computations_of_the_reference() -> None:
    known = read_reference("8 / 2 * 4 = 16. Then 3 * 7 = 21 and 21 + 12 = 33.")
    expected = {((2, 8), 4), ((2, 4, 8), 16), ((3, 7), 21), ((12, 21), 33), ((3, 7, 12), 33)}
    assert {Computation(tuple(map(Fraction, numbers)), Fraction(result)) for numbers, result in expected} <= known
    assert Computation((Fraction(4), Fraction(8)), Fraction(32)) not in known
    assert read_reference("8 / 2 = 5") == frozenset()
    assert read_reference("20% of 50 = 10") == {Computation((Fraction(1, 5), Fraction(50)), Fraction(10))}


@pytest.mark.parametrize(
    "step",
    [
        "She did not sell 48 / 2 = 24 clips, this is wrong. ",
        "48 / 2 = 24, which is not equal to what we need. ",
        "Modulo 30 we have 48 / 2 = 24. ",
        "In binary, 48 / 2 = 24. ",
        "That 48 / 2 = 24 is a contradiction. ",
        "48 / 2 = 24. Oops, recheck. ",
        "Which of the following is it: 48 / 2 = 24? ",
    ],
)
def test_a_step_that_denies_or_calculates_otherwise_is_unknown(step: str) -> None:
    assert judge(step, "The answer is 72.") == [None, True]


def test_a_step_that_supposes_or_tests_an_equation_is_unknown() -> None:
    for step in (
        "Suppose 48 / 2 = 24 clips. ",
        "If 48 / 2 = 24, we go on. ",
        "Is 48 / 2 = 24? ",
    ):
        assert judge(step, "The answer is 72.") == [None, True], step


def test_no_reference_makes_nothing_correct_but_the_answer() -> None:
    assert judge("48 / 2 = 24. ", "The answer is 72.", reference="") == [None, True]
    assert judge("48 / 2 = 24. ", "The answer is 72.", answer="") == [None, None]
    assert judge() == []


TEXT = st.text(st.sampled_from("0123456789 +-*/=.()$%\n\\{}abcfrac<>"), max_size=120)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, max_size=4), TEXT)
def test_any_text_gets_a_label_for_each_step(steps: list[str], reference: str) -> None:
    labels = judge(*steps, reference=reference)
    assert len(labels) == len(steps)
    if not read_reference(reference):
        assert True not in labels[:-1]


def test_a_hostile_reference_is_bounded() -> None:
    text = " ".join(f"{number} + 1 = {number + 1}." for number in [*range(5)] * 5_000)
    assert len(read_reference(text)) <= MAX_SUBSTITUTIONS + 400


def test_rules_in_order_say_which_spoke() -> None:
    params = JudgeParams(kind="rules", rules=["arithmetic", "reference"])
    completion = CompletionSteps(
        "s", "p", PROBLEM, REFERENCE, ("48/2 = 24. ", "3+3 = 7. ", "Hm. ", "The answer is 72."), "72"
    )
    labels = make_judge(params, 0).label_steps([completion]).labels["s"]
    assert [label.is_correct for label in labels] == [True, False, None, True]
    assert [label.reason.split(":")[0] for label in labels] == ["reference", "arithmetic", "arithmetic", "reference"]
    assert "; reference: " in labels[2].reason
    other = JudgeParams(kind="rules", rules=["reference", "arithmetic"])
    assert make_judge(other, 0).identity != make_judge(params, 0).identity


def test_rules_are_rules() -> None:
    for kind in ("llm", "prm", "rules"):
        with pytest.raises(UserError, match=f"judge.rules: expected kinds of rules.* found {kind}"):
            make_judge(JudgeParams(kind="rules", rules=[kind]), 0)
    with pytest.raises(ValueError, match="rules: null, but kind rules requires it"):
        JudgeParams(kind="rules")


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "processbench").is_dir(), reason=f"no real data at {REAL} (STEPKTO_REAL_DATA)")
def test_people_agree_with_what_it_calls_correct() -> None:
    from benchmarks.judge_labels import measure_reference

    for counts in measure_reference(REAL).values():
        assert counts.precision >= 0.97
        assert counts.coverage >= 0.40
