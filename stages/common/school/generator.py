"""Making school problems with reference solutions: each row from its use, seed and number alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stages.common.errors import UserError
from stages.common.params.problems import SchoolProblemsParams
from stages.common.school.endings import WEIGHTS, list_endings, make_ending
from stages.common.school.template import Template, evaluate_expression, write_step
from stages.common.school.templates import TEMPLATES
from stages.common.school.wording import ASIDES, draw_words, fill_slots
from stages.common.tables import content_hash, seed_from

_HASH_RANGES = {"test": (0, 15), "validation": (15, 25), "train": (25, 60), "corpus": (60, 100)}
"""A template with its numbers belongs to one use by the percentile of its hash, so that no two uses have it."""

ASIDE_RATE = 0.25
"""Fraction of the problems with a number that plays no part."""

MAX_ATTEMPTS = 2_000
"""Draws for one problem that is like none before it."""


@dataclass(frozen=True)
class SchoolProblem:
    """A problem with its reference solution, an equation per step."""

    template: str
    ending: str
    problem: str
    solution: str
    answer: str
    num_steps: int
    numbers: dict[str, int]
    """Numbers of the story; no two uses have a template with the same ones."""


def draw_numbers(template: Template, factors: tuple[int, int], rng: random.Random) -> dict[str, int] | None:
    """Numbers of the story; None if a range is empty or a number is not whole and positive."""
    values: dict[str, int] = {}
    for item in template.numbers.split():
        name, _, text = item.partition("=")
        low, _, high = text.partition("..")
        if not text:
            values[name] = rng.randint(*factors)
        elif high:
            ends = [int(evaluate_expression(end, values)) for end in (low, high)]
            if ends[0] > ends[1]:
                return None
            values[name] = rng.randint(*ends)
        else:
            number = evaluate_expression(text, values)
            if number.denominator != 1 or number < 2:
                return None
            values[name] = int(number)
    return values


def write_problem(template: Template, numbers: dict[str, int], rng: random.Random) -> SchoolProblem | None:
    """A problem of `template` with these `numbers`; None where they do not suit a step or the ending chosen."""
    values, words = dict(numbers), draw_words(rng)
    steps: list[str | None] = []
    for step in template.steps:
        steps.append(write_step(step, values))
        if steps[-1] is None:
            return None
    # In random order, by weight: the first that suits.
    endings = sorted(list_endings(template), key=lambda ending: -(rng.random() ** (1 / WEIGHTS[ending])))
    made = ((kind, make_ending(kind, template, values, rng)) for kind in endings)
    kind, ending = next(((kind, ending) for kind, ending in made if ending is not None), ("", None))
    if ending is None:
        return None
    sentences: list[str] = []
    for part in template.story:
        sentences += [part] if isinstance(part, str) else rng.sample(part, len(part))
    if rng.random() < ASIDE_RATE:
        sentences.insert(rng.choice((0, len(sentences))), rng.choice(ASIDES))
    slots = {**words, **numbers, "k": ending.k}
    lines = [step for step in [*steps, ending.step] if step is not None]
    answer = fill_slots(ending.answer, slots, rng)
    solution = "\n".join([*(fill_slots(line, slots, rng) for line in lines), f"The answer is \\boxed{{{answer}}}."])
    problem = fill_slots(" ".join([*sentences, ending.question]), slots, rng)
    return SchoolProblem(template.name, kind, problem, solution, answer, len(lines), numbers)


def draw_problems(use: str, count: int, seed: int, factors: tuple[int, int]) -> Iterator[SchoolProblem]:
    """`count` problems of one use, no two with the same template and numbers; more of them begin with the same.

    Raises `UserError` where the templates have no more.
    """
    low, high = _HASH_RANGES[use]
    templates = [template for template in TEMPLATES if use == "test" or not template.held_out]
    seen: set[str] = set()
    for row in range(count):
        rng = random.Random(seed_from("school", use, seed, row))
        for _ in range(MAX_ATTEMPTS):
            template = rng.choice(templates)
            numbers = draw_numbers(template, factors, rng)
            instance = content_hash("school", template.name, numbers)
            if numbers is None or instance in seen:
                continue
            if not template.held_out and not low <= int(instance[:8], 16) % 100 < high:
                continue
            if (drawn := write_problem(template, numbers, rng)) is not None:
                break
        else:
            raise UserError(f"school problems, {use}: found {row} of {count}; lower the number or widen the factors")
        seen.add(instance)
        yield drawn


def make_problems(use: str, count: int, seed: int, params: SchoolProblemsParams) -> Iterator[dict[str, Any]]:
    """`count` problems of `use` (train, validation, test, or corpus for a seed model) as NuminaMath-CoT rows."""
    for drawn in draw_problems(use, count, seed, (params.min_factor, params.max_factor)):
        messages = [{"role": "user", "content": drawn.problem}, {"role": "assistant", "content": drawn.solution}]
        yield {"source": "school", "problem": drawn.problem, "solution": drawn.solution, "messages": messages}
