"""Making toy-arithmetic problems with correct solutions, and the noisy corpus from which M0 learns its mistakes."""

import random
from collections.abc import Iterator
from typing import Any

from stages.common.tables import content_hash, seed_from
from stages.common.toy_arithmetic.step_rule import GAIN_VERBS, LOSS_VERBS, DayEvent, Question, ToyProblem

NAMES = ("Mia", "Tom", "Ana", "Leo", "Eva", "Max", "Ida", "Ben", "Zoe", "Sam", "Amy", "Jan")
OBJECTS = ("cards", "coins", "shells", "stamps", "beads", "books", "nuts", "pens")
QUESTION_WEIGHTS: dict[Question, float] = {"total": 0.65, "digit": 0.15, "parity": 0.10, "more": 0.10}

_HASH_RANGES = {"test": (0, 10), "validation": (10, 15), "train": (15, 40), "corpus": (40, 100)}
"""Each problem text belongs to one use by the percentile of its hash, so that no two uses share a problem."""


def _draw_problem(rng: random.Random) -> tuple[str, ToyProblem]:
    """One random problem, as text and parsed; every intermediate value is in 0..99."""
    name, thing = rng.choice(NAMES), rng.choice(OBJECTS)
    start = value = rng.randint(10, 99)
    events, sentences = [], []
    for day in range(1, rng.randint(3, 5) + 1):
        choices: list[DayEvent] = [DayEvent("+", n) for n in range(2, 10) if value + n <= 99]
        choices += [DayEvent("-", n) for n in range(2, 10) if value - n >= 0]
        event = rng.choice(choices)
        value = event.apply(value)
        events.append(event)
        verb = rng.choice(GAIN_VERBS if event.sign == "+" else LOSS_VERBS)
        sentences.append(f"Day {day}: {verb} {event.amount}. ")
    question = rng.choices(list(QUESTION_WEIGHTS), list(QUESTION_WEIGHTS.values()))[0]
    bound = rng.randint(1, 9) * 10 if question == "more" else 0
    question_text = {
        "total": f"How many {thing}?",
        "digit": f"Last digit of the {thing}?",
        "parity": f"Are the {thing} even or odd?",
        "more": f"More than {bound} {thing}?",
    }[question]
    text = f"{name} has {start} {thing}. {''.join(sentences)}{question_text}"
    return text, ToyProblem(start, tuple(events), question, bound)


def _draw_problems(use: str, count: int, seed: int) -> Iterator[tuple[str, ToyProblem, random.Random]]:
    """`count` distinct problems of one use, with the generator that drew them."""
    low, high = _HASH_RANGES[use]
    rng = random.Random(seed_from("day_world", use, seed))  # part of the seed: renaming it would change all data
    seen: set[str] = set()
    while len(seen) < count:
        text, problem = _draw_problem(rng)
        if text not in seen and low <= int(content_hash("use", text, digits=8), 16) % 100 < high:
            seen.add(text)
            yield text, problem, rng


def _write_solution(
    problem: ToyProblem, rng: random.Random | None, forgotten_carry_rate: float, slip_rate: float
) -> str:
    """The solution; with `rng`, one that forgets carries and slips at the given rates."""
    lines, value = [], problem.start
    for number, event in enumerate(problem.events, 1):
        correct = result = event.apply(value)
        if rng is not None:
            has_carry = correct // 10 != value // 10
            if has_carry and rng.random() < forgotten_carry_rate * (event.amount - 2) / 7:
                result = correct - 10 if event.sign == "+" else correct + 10
            elif rng.random() < slip_rate:
                result = correct + rng.choice((-1, 1))
            result = min(max(result, 0), 99)
        lines.append(f"Step {number}: {value} {event.sign} {event.amount} = {result}")
        value = result
    closing = problem.compute_closing(value)
    if closing:
        lines.append(f"Step {len(lines) + 1}: {value} {closing[0]} = {closing[1]}")
    lines.append(f"The answer is \\boxed{{{problem.compute_answer(value)}}}")
    return "\n".join(lines)


def make_problems(split: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` problems of `split` (train, validation or test) as NuminaMath-CoT rows."""
    for text, problem, _rng in _draw_problems(split, count, seed):
        solution = _write_solution(problem, None, 0.0, 0.0)
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": solution}]
        yield {"source": "toy_arithmetic", "problem": text, "solution": solution, "messages": messages}


def make_corpus(count: int, seed: int, forgotten_carry_rate: float, slip_rate: float) -> Iterator[tuple[str, str]]:
    """`count` (problem, solution) pairs whose solutions contain planted mistakes.

    `forgotten_carry_rate` is the chance to forget a needed carry or borrow at amount 9, rising from 0 at amount 2;
    `slip_rate` the chance of a result off by one.
    """
    for text, problem, rng in _draw_problems("corpus", count, seed):
        yield text, _write_solution(problem, rng, forgotten_carry_rate, slip_rate)
