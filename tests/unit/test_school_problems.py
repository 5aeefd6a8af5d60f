"""School problems: exact references, whole answers, uses without a problem in common, and labels of the rule judges."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.judge import JudgeParams
from stages.common.params.problems import NearDuplicateParams, ProblemsParams
from stages.common.params.split import SplitParams
from stages.common.school import TEMPLATES, draw_problems, generator
from stages.common.school.generator import SchoolProblem, draw_numbers, write_problem
from stages.common.school.template import evaluate_expression
from stages.common.verifiers import verify_answer
from stages.judge.rules.reference import ReferenceJudge
from stages.judge.step_labels import CompletionSteps
from stages.problems import build_problems, read_problems
from stages.split import split_text

FACTORS = (2, 6)
EQUATION = re.compile(r"([\d +*/()-]*[+*/-][\d +*/()-]*) = (\d+)")
HELD_OUT = {template.name for template in TEMPLATES if template.held_out}


@cache
def draw(use: str, count: int, seed: int = 1) -> list[SchoolProblem]:
    return list(draw_problems(use, count, seed, FACTORS))


def list_steps(problem: SchoolProblem) -> list[str]:
    return [problem.solution[start:end] for start, end in split_text(problem.solution, SplitParams())]


def label_steps(problem: SchoolProblem, steps: list[str]) -> list[bool | None]:
    completion = CompletionSteps("s", "p", problem.problem, problem.solution, tuple(steps), problem.answer)
    return [label for label, _ in ReferenceJudge(JudgeParams(kind="reference"), 0).apply_rule(completion)]


def test_there_are_many_templates_and_a_tenth_is_in_test_alone() -> None:
    assert len(TEMPLATES) >= 60
    assert len({template.name for template in TEMPLATES}) == len(TEMPLATES)
    assert 0.08 <= len(HELD_OUT) / len(TEMPLATES) <= 0.12
    for use in ("train", "validation", "corpus"):
        assert not {problem.template for problem in draw(use, 600)} & HELD_OUT
    assert {problem.template for problem in draw("test", 500)} >= HELD_OUT


@pytest.mark.parametrize("template", TEMPLATES, ids=[template.name for template in TEMPLATES])
def test_a_template_gives_a_problem_from_nearly_every_draw(template) -> None:
    made = []
    for seed in range(100):
        rng = random.Random(seed)
        numbers = draw_numbers(template, FACTORS, rng)
        assert numbers is not None
        made.append(write_problem(template, numbers, rng))
    # Where the only question is who has more, equal numbers have no answer.
    allowed = 0.2 if template.versus and not template.ask else 0.02
    assert made.count(None) <= allowed * len(made)
    for problem in filter(None, made):
        text = f"{problem.problem} {problem.solution}"
        assert not re.search(r"[{}\[\]|~]|  ", text.replace("\\boxed{", "").replace("}.", ".")), text
        assert not re.search(r"\b(a [aeiou]|an (?!hour)[^aeiou]|1 [a-z]{3,}s\b)", text, re.IGNORECASE), text
        assert problem.problem.endswith("?")
        assert 2 <= problem.num_steps <= 5


def test_every_equation_of_a_reference_is_exact_and_holds_every_number_of_its_step() -> None:
    for problem in draw("train", 600) + draw("test", 300):
        *lines, last = problem.solution.splitlines()
        assert last == f"The answer is \\boxed{{{problem.answer}}}."
        assert len(lines) == problem.num_steps
        for line in lines:
            [(left, right)] = EQUATION.findall(line)
            assert evaluate_expression(left, {}) == int(right) >= 0
            assert not re.search(r"\d", EQUATION.sub("", line)), line
            assert all(int(number) < 1000 for number in re.findall(r"\d+", line))


def test_the_reference_judge_calls_every_step_of_a_reference_correct() -> None:
    labels: Counter[bool | None] = Counter()
    for problem in draw("train", 400) + draw("test", 200):
        steps = list_steps(problem)
        assert len(steps) == problem.num_steps + 1
        labels.update(label_steps(problem, steps))
    assert labels[False] == 0
    assert labels[True] / labels.total() >= 0.99, labels


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 399), st.randoms(use_true_random=False))
def test_a_number_changed_in_a_step_is_never_called_correct(index: int, rng: random.Random) -> None:
    problem = draw("train", 400)[index]
    steps = list_steps(problem)
    position = rng.randrange(len(steps) - (not problem.answer.isdigit()))
    number = rng.choice(list(re.finditer(r"\d+", steps[position])))
    changed = int(number.group()) + rng.choice([-10, -2, -1, 1, 2, 3, 10])
    if changed < 0:
        return
    steps[position] = f"{steps[position][: number.start()]}{changed}{steps[position][number.end() :]}"
    assert label_steps(problem, steps)[position] is not True, steps[position]


def test_the_verifier_takes_a_reference_s_answer_and_no_other() -> None:
    other = {"yes": "no", "no": "yes", "even": "odd", "odd": "even"}
    for problem in draw("validation", 200):
        assert verify_answer(problem.answer, problem.solution, "math", 5.0).is_correct is True
        wrong = other.get(problem.answer, f"{problem.answer}7")
        assert verify_answer(wrong, problem.solution, "math", 5.0).is_correct is not True


def test_no_answer_is_the_rule() -> None:
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for problem in draw("train", 3000):
        answers[problem.ending][problem.answer] += 1
    limits = answers["enough"] + answers["at_least"]
    assert 0.4 <= limits["yes"] / limits.total() <= 0.6
    assert 0.3 <= answers["parity"]["even"] / answers["parity"].total() <= 0.7
    for ending in ("exact", "digit", "ten", "pack", "versus"):
        assert answers[ending].most_common(1)[0][1] <= 0.4 * answers[ending].total(), ending
    assert answers["exact"].total() <= 0.5 * 3000


def test_uses_have_no_template_with_the_same_numbers_in_common() -> None:
    uses = [draw("test", 500), draw("validation", 300), draw("train", 3000), draw("corpus", 2000)]
    instances = [{(problem.template, *problem.numbers.items()) for problem in problems} for problems in uses]
    assert [len(each) for each in instances] == [500, 300, 3000, 2000]
    assert len(set.union(*instances)) == sum(map(len, instances))


def test_problems_follow_the_seed_and_grow_by_appending() -> None:
    assert draw("test", 50) == draw("test", 500)[:50]
    texts = [{problem.problem for problem in draw("test", 50, seed)} for seed in (1, 2)]
    assert texts[0].isdisjoint(texts[1])


def test_more_problems_than_there_are_is_an_error_of_one_line(monkeypatch) -> None:
    monkeypatch.setattr(generator, "MAX_ATTEMPTS", 20)
    with pytest.raises(UserError, match=r"found \d+ of 1000000; lower the number"):
        list(draw_problems("validation", 1_000_000, 1, (2, 3)))


def test_the_stage_keeps_every_problem_and_few_are_near_duplicates(tmp_path) -> None:
    recipe = {"reader": "school", "school": {"train": 300, "validation": 40, "test": 60}}
    params = validate(ProblemsParams, recipe, "problems")
    report = build_problems(params, 1, 0, tmp_path)
    assert (report["kept"], report["drops"]) == (400, {})
    assert report["by_split"] == {"train": 300, "validation": 40, "test": 60}
    assert set(read_problems(tmp_path, 0)["source"]) == {"school"}
    near = params.model_copy(update={"near_duplicates": NearDuplicateParams()})
    assert build_problems(near, 1, 0, tmp_path)["kept"] >= 0.9 * 400


def test_factors_need_some_range_and_the_reader_makes_its_splits() -> None:
    with pytest.raises(ParamsError, match="max_factor: expected 5 or more, found 3"):
        validate(ProblemsParams, {"reader": "school", "school": {"max_factor": 3}}, "problems")
    with pytest.raises(ParamsError, match="reader school makes its own"):
        validate(ProblemsParams, {"reader": "school", "splits": {"validation": 0.1, "test": 0.1}}, "problems")


@pytest.mark.parametrize("text", ["__import__('os')", "2 ** 8", "a.b", "'a'", "1.5 + 2", "-3"])
def test_an_expression_is_numbers_names_and_four_signs(text: str) -> None:
    with pytest.raises(ValueError, match="expected numbers"):
        evaluate_expression(text, {"a": 1})
