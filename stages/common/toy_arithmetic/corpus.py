"""Making day-world problems with right solutions, and the noisy corpus from which M0 learns its mistakes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from stages.common.tables import content_hash, seed_from
from stages.common.toy_arithmetic.rule import GAINS, LOSSES, Event, Problem, Question

NAMES = ("Mia", "Tom", "Ana", "Leo", "Eva", "Max", "Ida", "Ben", "Zoe", "Sam", "Amy", "Jan")
THINGS = ("cards", "coins", "shells", "stamps", "beads", "books", "nuts", "pens")
QUESTIONS: tuple[tuple[Question, float], ...] = (("total", 0.65), ("digit", 0.15), ("parity", 0.10), ("more", 0.10))

_SHARES = {"test": (0, 10), "validation": (10, 15), "train": (15, 40), "corpus": (40, 100)}
"""Each problem text belongs to one use by its hash, so that no two uses can share a problem."""


def _draw(rng: random.Random) -> tuple[str, Problem]:
    """One random problem: its text and what it says; every value on the way lies in 0..99."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    start = value = rng.randint(10, 99)
    events, said = [], []
    for day in range(1, rng.randint(3, 5) + 1):
        choices: list[Event] = [Event("+", n) for n in range(2, 10) if value + n <= 99]
        choices += [Event("-", n) for n in range(2, 10) if value - n >= 0]
        event = rng.choice(choices)
        value += event.operand if event.sign == "+" else -event.operand
        events.append(event)
        said.append(f"Day {day}: {rng.choice(GAINS if event.sign == '+' else LOSSES)} {event.operand}. ")
    question = rng.choices([q for q, _ in QUESTIONS], [share for _, share in QUESTIONS])[0]
    bound = rng.randint(1, 9) * 10 if question == "more" else 0
    asked = {
        "total": f"How many {thing}?",
        "digit": f"Last digit of the {thing}?",
        "parity": f"Are the {thing} even or odd?",
        "more": f"More than {bound} {thing}?",
    }[question]
    return f"{name} has {start} {thing}. {''.join(said)}{asked}", Problem(start, tuple(events), question, bound)


def _texts(use: str, count: int, seed: int) -> Iterator[tuple[str, Problem, random.Random]]:
    """`count` distinct problems of one use, with the generator that drew them."""
    low, high = _SHARES[use]
    rng = random.Random(seed_from("day_world", use, seed))
    seen: set[str] = set()
    while len(seen) < count:
        text, problem = _draw(rng)
        if text not in seen and low <= int(content_hash("use", text, digits=8), 16) % 100 < high:
            seen.add(text)
            yield text, problem, rng


def _solve(problem: Problem, rng: random.Random | None, forgotten_carry: float, slip: float) -> str:
    """The solution; with `rng`, by an author who forgets carries and slips with the given chances."""
    lines, value = [], problem.start
    for number, event in enumerate(problem.events, 1):
        right = value + event.operand if event.sign == "+" else value - event.operand
        stated = right
        if rng is not None:
            carries = right // 10 != value // 10
            if carries and rng.random() < forgotten_carry * (event.operand - 2) / 7:
                stated = right - 10 if event.sign == "+" else right + 10
            elif rng.random() < slip:
                stated = right + rng.choice((-1, 1))
            stated = min(max(stated, 0), 99)
        lines.append(f"Step {number}: {value} {event.sign} {event.operand} = {stated}")
        value = stated
    closing = problem.closing(value)
    if closing:
        lines.append(f"Step {len(lines) + 1}: {value} {closing[0]} = {closing[1]}")
    lines.append(f"The answer is \\boxed{{{problem.answer(value)}}}")
    return "\n".join(lines)


def make_problems(split: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` problems of `split` (train, validation or test) as NuminaMath-CoT rows."""
    for text, problem, _rng in _texts(split, count, seed):
        solution = _solve(problem, None, 0.0, 0.0)
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": solution}]
        yield {"source": "day_world", "problem": text, "solution": solution, "messages": messages}


def make_corpus(count: int, seed: int, forgotten_carry: float, slip: float) -> Iterator[tuple[str, str]]:
    """`count` (problem, solution) pairs whose solutions hold the planted mistakes.

    `forgotten_carry` is the chance to forget a needed carry or borrow at operand 9, rising from 0 at operand 2;
    `slip` the chance of a result off by one.
    """
    for text, problem, rng in _texts("corpus", count, seed):
        yield text, _solve(problem, rng, forgotten_carry, slip)
