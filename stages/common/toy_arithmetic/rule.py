"""What a day-world problem says, and the rule by which a step of its solution is right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Question = Literal["total", "digit", "parity", "more"]

GAINS = ("finds", "wins", "buys", "gets")
LOSSES = ("loses", "sells", "gives", "drops")

_PROBLEM = re.compile(
    r"[A-Z][a-z]+ has (?P<start>\d{1,2}) [a-z]+\. (?P<events>(?:Day \d: [a-z]+ \d\. )+)(?P<question>.+)"
)
_EVENT = re.compile(r"Day (\d): ([a-z]+) (\d)\. ")
_QUESTIONS: dict[Question, re.Pattern[str]] = {
    "total": re.compile(r"How many [a-z]+\?"),
    "digit": re.compile(r"Last digit of the [a-z]+\?"),
    "parity": re.compile(r"Are the [a-z]+ even or odd\?"),
    "more": re.compile(r"More than (\d0) [a-z]+\?"),
}
_STEP = re.compile(r"Step (\d): (\d{1,3}) ([+\-%>]) (\d{1,2}) = (\w+)")
_ANSWER = re.compile(r"The answer is \\boxed\{(\w+)\}")


@dataclass(frozen=True)
class Event:
    """One day's change: `sign` is + or -, `operand` 2 to 9."""

    sign: Literal["+", "-"]
    operand: int


@dataclass(frozen=True)
class Problem:
    """A parsed problem; `bound` is the number asked about by "More than 50 cards?", 0 otherwise."""

    start: int
    events: tuple[Event, ...]
    question: Question
    bound: int

    def closing(self, total: int) -> tuple[str, str] | None:
        """Operation and result of the closing step that answers the question, None where the total is the answer."""
        if self.question == "digit":
            return "% 10", str(total % 10)
        if self.question == "parity":
            return "% 2", str(total % 2)
        if self.question == "more":
            return f"> {self.bound}", "yes" if total > self.bound else "no"
        return None

    def answer(self, total: int) -> str:
        """The final answer when the count ends at `total`."""
        if self.question == "parity":
            return "odd" if total % 2 else "even"
        closing = self.closing(total)
        return closing[1] if closing else str(total)


def parse_problem(text: str) -> Problem:
    """Parse a day-world problem; raise `ValueError` for any other text."""
    match = _PROBLEM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a day-world problem: {text[:80]!r}")
    events = []
    for _, verb, operand in _EVENT.findall(match["events"]):
        if verb not in GAINS + LOSSES:
            raise ValueError(f"not a day-world event: {verb!r}")
        events.append(Event("+" if verb in GAINS else "-", int(operand)))
    for question, pattern in _QUESTIONS.items():
        asked = pattern.fullmatch(match["question"])
        if asked:
            return Problem(int(match["start"]), tuple(events), question, int(asked[1]) if question == "more" else 0)
    raise ValueError(f"not a day-world question: {match['question'][:80]!r}")


@dataclass(frozen=True)
class StepVerdict:
    """`right`, why, and the result that the step states (None where it states none)."""

    right: bool
    reason: str
    stated: str | None


def judge_step(problem: Problem, position: int, text: str, before: str | None) -> StepVerdict:
    """Judge the step at 0-based `position`; `before` is the result stated by the step before it (None: none was).

    A step is right when its operation and operand are those of its event, its left operand is the result *stated*
    before it (the start for the first), and its equation holds: an error counts once, where it is made.
    The last line is right when it says what follows from the result stated before it.
    """
    expected = str(problem.start) if position == 0 else before
    last = len(problem.events) + (problem.question != "total")
    answer = _ANSWER.fullmatch(text.strip())
    if answer:
        if position != last:
            return StepVerdict(False, f"answers after {position} of {last} steps", answer[1])
        due = expected
        if problem.question == "parity":
            due = {"0": "even", "1": "odd"}.get(expected or "")
        right = answer[1] == due
        return StepVerdict(right, "follows from the last step" if right else f"last step gives {due}", answer[1])
    match = _STEP.fullmatch(text.strip())
    if match is None:
        return StepVerdict(False, "not a step of this form", None)
    number, left, sign, operand, stated = match.groups()
    if position >= last:
        return StepVerdict(False, "no step is due here", stated)
    if int(number) != position + 1:
        return StepVerdict(False, f"numbered {number} at position {position + 1}", stated)
    if left != expected:
        return StepVerdict(False, f"starts from {left}, not {expected}", stated)
    if position < len(problem.events):
        event = problem.events[position]
        if (sign, int(operand)) != (event.sign, event.operand):
            return StepVerdict(False, f"event {position + 1} is {event.sign} {event.operand}", stated)
        due = str(int(left) + event.operand if event.sign == "+" else int(left) - event.operand)
    else:
        closing = problem.closing(int(left))
        if closing is None or f"{sign} {operand}" != closing[0]:
            return StepVerdict(False, "not the operation asked for", stated)
        due = closing[1]
    return StepVerdict(
        stated == due, "equation holds" if stated == due else f"{left} {sign} {operand} is {due}", stated
    )
