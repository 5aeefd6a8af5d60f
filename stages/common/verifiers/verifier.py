"""The verifier of a task: finds final answers in completions and compares them with gold answers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from stages.common.errors import UserError
from stages.common.text import format_answer

Decision = tuple[bool | None, str]
"""Whether two answers are equal (None: unknown), and the reason in a few words."""

GUESS: Decision = (None, "a guess: the completion does not say which value is its answer")
"""Decision on an answer that is a guess, where guesses are not accepted."""

BY_SHAPE = " (by shape)"
"""How the reason of a False ends that follows from how two answers are written: no values were computed and differ."""

UNSTABLE_REASONS = ("no verdict in ", "the verifier process died")
"""How the reasons begin that depend on the machine's speed or memory."""


class ExtractedAnswer(NamedTuple):
    """An answer: its `text`, its span in the completion in code points, and the rule that found it.

    `is_guess`: the completion does not say which of its values is the answer.
    """

    text: str
    start: int
    end: int
    rule: str
    is_guess: bool = False


class VerifierInput(NamedTuple):
    """A gold answer and a completion; `is_truncated`: the token limit ended the completion."""

    gold: str
    completion: str
    is_truncated: bool = False

    def as_text(self) -> VerifierInput:
        """The same with text where a number or None stands: 27.0 is "27", None is no answer."""
        return VerifierInput(_format(self.gold), _format(self.completion), self.is_truncated)


def _format(value: Any) -> str:
    return str(value) if isinstance(value, str) else "" if value is None else format_answer(value)


class Verdict(NamedTuple):
    """Whether the answer of a completion equals the gold answer; None: unknown.

    `gold` and `answer` as the verifier read them; `answer` and `extraction_rule` are None where none was found.
    `seconds` are of processor time, or of wall clock where the time limit ended the comparison.
    """

    is_correct: bool | None
    reason: str
    gold: str
    answer: str | None
    extraction_rule: str | None
    seconds: float
    verifier: str


class Verifier(ABC):
    """Verifies the answers of one task. A subclass needs `version`, `extract` and `equal`.

    `version` must change with every rule and package that can change a verdict. Methods must not raise for any text.
    """

    version: str

    def __init__(self, num_workers: int = 1, timeout_s: float = 5.0, accepts_guesses: bool = False) -> None:
        if num_workers < 1:
            raise UserError(f"num_workers: expected at least 1, found {num_workers}")
        if timeout_s <= 0:
            raise UserError(f"timeout_s: expected more than 0, found {timeout_s}")
        self.num_workers = num_workers
        self.timeout_s = timeout_s
        self.accepts_guesses = accepts_guesses

    @abstractmethod
    def extract(self, completion: str, is_truncated: bool = False) -> ExtractedAnswer | None:
        """Return the final answer stated in `completion`, None if there is none."""

    @abstractmethod
    def equal(self, first: str, second: str) -> bool | None:
        """Return whether two answers are equal; None: unknown."""

    def complete_answer(self, problem: str, answer: str) -> str:  # noqa: ARG002 - for subclasses
        """Return `answer` with what the text of its problem says of it, such as the value of a choice."""
        return answer

    def equal_many(self, pairs: Iterable[tuple[str, str]]) -> list[bool | None]:
        """Return `equal` for each pair, in order."""
        return [self.equal(*pair) for pair in pairs]

    def verify(self, gold: str, completion: str, is_truncated: bool = False) -> Verdict:
        """Return the verdict on one completion."""
        started = time.process_time()
        found = self.extract(completion, is_truncated)
        is_correct: bool | None
        if found is not None and found.is_guess and not self.accepts_guesses:
            is_correct, reason = GUESS
        else:
            is_correct = False if found is None else self.equal(gold, found.text)
            reason = "no answer" if found is None else {True: "equal", False: "not equal", None: "unknown"}[is_correct]
        text, rule = (None, None) if found is None else (found.text, found.rule)
        return Verdict(is_correct, reason, gold, text, rule, time.process_time() - started, self.version)

    def verify_many(self, inputs: Iterable[VerifierInput]) -> Iterator[Verdict]:
        """Yield the verdict on each of `inputs`, in order."""
        return (self.verify(*one.as_text()) for one in inputs)

    def close(self) -> None:  # noqa: B027 - most verifiers hold nothing
        """Release processes. The verifier cannot be used afterwards."""
