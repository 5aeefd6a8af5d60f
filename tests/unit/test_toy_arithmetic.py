"""Toy arithmetic: its problems, its rule, and the mistakes planted in the corpus of M0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.toy_arithmetic import judge_step, make_corpus, make_problems, parse_problem
from stages.judge.rules import judge_toy_arithmetic

PROBLEM = "Mia has 76 cards. Day 1: finds 2. Day 2: wins 8. Day 3: loses 5. Last digit of the cards?"


def labels(solution: str) -> list[bool | None]:
    return [label for label, _ in judge_toy_arithmetic(PROBLEM, solution.splitlines(keepends=True))]


def test_reference_solutions_are_correct_in_every_step() -> None:
    for row in make_problems("train", 200, seed=3):
        verdicts = judge_toy_arithmetic(row["problem"], row["solution"].splitlines(keepends=True))
        assert all(label is True for label, _ in verdicts), (row, verdicts)


def test_uses_share_no_problem() -> None:
    uses = [{row["problem"] for row in make_problems(split, 400, seed=1)} for split in ("train", "validation", "test")]
    uses.append({problem for problem, _ in make_corpus(2000, 1, 0.65, 0.02)})
    assert sum(map(len, uses)) == len(set.union(*uses))


def test_problems_follow_the_seed_and_grow_by_appending() -> None:
    def first(count: int, seed: int) -> list[str]:
        return [row["problem"] for row in make_problems("test", count, seed)]

    assert first(50, 1) == first(80, 1)[:50]
    assert set(first(50, 1)).isdisjoint(first(50, 2))


def test_an_error_counts_once_where_it_is_made() -> None:
    forgotten = (
        "Step 1: 76 + 2 = 78\nStep 2: 78 + 8 = 76\nStep 3: 76 - 5 = 71\nStep 4: 71 % 10 = 1\nThe answer is \\boxed{1}"
    )
    assert labels(forgotten) == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ("Step 1: 76 + 3 = 79", [False]),
        ("Step 1: 75 + 2 = 77", [False]),
        ("Step 2: 76 + 2 = 78", [False]),
        ("Step 1: 76 + 2 = 78\nThe answer is \\boxed{8}", [True, False]),
        ("so what", [False]),
        ("Step 1: 76 + 2 = 78\nnonsense\nStep 3: 86 - 5 = 81", [True, False, False]),
        ("Step 1: __import__('os') + 2 = 3", [False]),
    ],
)
def test_incorrect_steps(solution: str, expected: list[bool]) -> None:
    assert labels(solution) == expected


def test_other_problems_are_unknown() -> None:
    assert judge_toy_arithmetic("What is 2 + 2?", ["4"])[0][0] is None


def test_planted_mistakes_are_there_and_answers_often_survive_them() -> None:
    survived = incorrect = 0
    for problem, solution in make_corpus(3000, 5, 0.65, 0.02):
        verdicts = [label for label, _ in judge_toy_arithmetic(problem, solution.splitlines(keepends=True))]
        if False in verdicts:
            incorrect += 1
            parsed, total = parse_problem(problem), 0
            total = parsed.start + sum(e.amount if e.sign == "+" else -e.amount for e in parsed.events)
            survived += solution.endswith(f"\\boxed{{{parsed.compute_answer(total)}}}")
    assert 0.3 < incorrect / 3000 < 0.9
    assert 0.05 < survived / incorrect < 0.5


@given(st.integers(0, 8), st.text(max_size=60), st.one_of(st.none(), st.text(max_size=4)))
def test_any_text_gets_a_verdict(position: int, text: str, before: str | None) -> None:
    verdict = judge_step(parse_problem(PROBLEM), position, text, before)
    assert verdict.reason
