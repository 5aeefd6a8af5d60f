"""Parsing a toy-arithmetic problem, and the rule that says whether a step of its solution is correct."""

import re
from dataclasses import dataclass
from typing import Literal

Question = Literal["total", "digit", "parity", "more"]

GAIN_VERBS = ("finds", "wins", "buys", "gets")
LOSS_VERBS = ("loses", "sells", "gives", "drops")

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
class DayEvent:
    """One day's change: `sign` is + or -, `amount` 2 to 9."""

    sign: Literal["+", "-"]
    amount: int

    def apply(self, value: int) -> int:
        """The count after this day, from the count before it."""
        return value + self.amount if self.sign == "+" else value - self.amount


@dataclass(frozen=True)
class ToyProblem:
    """A parsed problem; `bound` is the number in "More than 50 cards?", 0 for other questions."""

    start: int
    events: tuple[DayEvent, ...]
    question: Question
    bound: int

    def compute_closing(self, total: int) -> tuple[str, str] | None:
        """Operation and result of the last step, which answers the question; None where the total is the answer."""
        if self.question == "digit":
            return "% 10", str(total % 10)
        if self.question == "parity":
            return "% 2", str(total % 2)
        if self.question == "more":
            return f"> {self.bound}", "yes" if total > self.bound else "no"
        return None

    def compute_answer(self, total: int) -> str:
        """The final answer when the count ends at `total`."""
        if self.question == "parity":
            return "odd" if total % 2 else "even"
        closing = self.compute_closing(total)
        return closing[1] if closing else str(total)


def parse_problem(text: str) -> ToyProblem:
    """Parse a toy-arithmetic problem; raise `ValueError` for any other text."""
    match = _PROBLEM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a toy-arithmetic problem: {text[:80]!r}")
    events = []
    for _, verb, amount in _EVENT.findall(match["events"]):
        if verb not in GAIN_VERBS + LOSS_VERBS:
            raise ValueError(f"not a toy-arithmetic event: {verb!r}")
        events.append(DayEvent("+" if verb in GAIN_VERBS else "-", int(amount)))
    for question, pattern in _QUESTIONS.items():
        found = pattern.fullmatch(match["question"])
        if found:
            return ToyProblem(int(match["start"]), tuple(events), question, int(found[1]) if question == "more" else 0)
    raise ValueError(f"not a toy-arithmetic question: {match['question'][:80]!r}")


@dataclass(frozen=True)
class StepVerdict:
    """Whether the step is correct, why, and the result that it states (None where it states none)."""

    is_correct: bool
    reason: str
    result: str | None


def judge_step(problem: ToyProblem, position: int, text: str, before: str | None) -> StepVerdict:
    """Judge the step at 0-based `position`; `before` is the result that the step before it states (None: it has none).

    A step is correct when its operation and amount are those of its event, its left number is the result *stated*
    before it (the start for the first step), and its equation holds: an error counts once, where it is made.
    The answer line is correct when it follows from the result stated before it.
    """
    previous = str(problem.start) if position == 0 else before
    last = len(problem.events) + (problem.question != "total")
    answer = _ANSWER.fullmatch(text.strip())
    if answer:
        if position != last:
            return StepVerdict(False, f"answers after {position} of {last} steps", answer[1])
        expected = previous
        if problem.question == "parity":
            expected = {"0": "even", "1": "odd"}.get(previous or "")
        is_correct = answer[1] == expected
        reason = "follows from the last step" if is_correct else f"last step gives {expected}"
        return StepVerdict(is_correct, reason, answer[1])
    match = _STEP.fullmatch(text.strip())
    if match is None:
        return StepVerdict(False, "not a step of this form", None)
    number, left, sign, amount, result = match.groups()
    if position >= last:
        return StepVerdict(False, "no step is expected here", result)
    if int(number) != position + 1:
        return StepVerdict(False, f"numbered {number} at position {position + 1}", result)
    if left != previous:
        return StepVerdict(False, f"starts from {left}, not {previous}", result)
    if position < len(problem.events):
        event = problem.events[position]
        if (sign, int(amount)) != (event.sign, event.amount):
            return StepVerdict(False, f"event {position + 1} is {event.sign} {event.amount}", result)
        expected = str(event.apply(int(left)))
    else:
        closing = problem.compute_closing(int(left))
        if closing is None or f"{sign} {amount}" != closing[0]:
            return StepVerdict(False, "not the operation in the question", result)
        expected = closing[1]
    is_correct = result == expected
    return StepVerdict(is_correct, "equation holds" if is_correct else f"{left} {sign} {amount} is {expected}", result)
