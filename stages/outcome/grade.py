"""Verdicts: True, False, or None for "cannot tell", each with its reason."""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

from stages.outcome.extract import LONGEST, Answer, extract_answer
from stages.outcome.fast import decide_fast
from stages.outcome.latex import for_algebra
from stages.outcome.normal import normalise
from stages.outcome.words import Decision
from stages.outcome.worker import Pair, Workers

_APART = frozenset({"__init__", "__main__", "bench", "samples"})
"""Modules of this folder that decide no verdict."""

_WINDOW = 1024
"""Pairs in work at once: what is held in memory does not grow with their number."""

_OPEN_BOX = re.compile(r"\A[\s$]*\\{1,2}boxed\{")
"""A box that is the gold text and is never closed: the rest is the answer, since no gold is cut by its length."""

_REMEMBERED = 1 << 15
"""Decisions kept for pairs that come again."""


@dataclass(frozen=True)
class Verdict:
    """`value` True equal, False not, None cannot tell; `gold` and `answer` as understood, `seconds` spent on it."""

    value: bool | None
    reason: str
    gold: str
    answer: str | None
    found_by: str | None
    seconds: float
    grader: str


@cache
def grader_version() -> str:
    """Versions of the packages that decide, and a hash of the rules: of the code that holds them."""
    from stages.records import content_hash

    modules = sorted(path for path in Path(__file__).parent.glob("*.py") if path.stem not in _APART)
    sources = [path.read_text(encoding="utf-8") for path in modules]
    packages = ("math-verify", "latex2sympy2_extended", "sympy")
    return " ".join(
        [*(f"{name} {metadata.version(name)}" for name in packages), f"rules {content_hash(sources, digits=8)}"]
    )


@dataclass
class _Slot:
    """A pair on its way: decided, or waiting for the algebra of `pair`."""

    gold: str
    answer: Answer | None
    began: float
    decision: Decision | None = None
    pair: Pair | None = None
    ended: float = field(default=0.0)

    def decide(self, decision: Decision) -> None:
        self.decision = decision
        self.ended = time.monotonic()

    def verdict(self) -> Verdict:
        assert self.decision is not None
        value, reason = self.decision
        text, found_by = (self.answer.text, self.answer.found_by) if self.answer else (None, None)
        return Verdict(value, reason, self.gold, text, found_by, self.ended - self.began, grader_version())


class Grader:
    """Decides pairs, remembers decisions, and asks for algebra where nothing quicker decides."""

    def __init__(self, workers: int, timeout_s: float) -> None:
        self._workers = Workers(workers, timeout_s)
        self._known: OrderedDict[tuple[str, str], Decision] = OrderedDict()
        self._waiting: dict[Pair, list[_Slot]] = {}

    def close(self) -> None:
        self._workers.close()

    def grade(self, pairs: Iterable[tuple[str, Answer | None]]) -> Iterator[Verdict]:
        """Verdicts of (gold, answer) pairs, in order; whatever is wrong with one, the others do not notice."""
        window: deque[_Slot] = deque()
        for gold, answer in pairs:
            window.append(self._enter(gold, answer))
            while window and (window[0].decision is not None or len(window) >= _WINDOW):
                yield self._first(window)
        while window:
            yield self._first(window)

    def _first(self, window: deque[_Slot]) -> Verdict:
        while window[0].decision is None:
            for pair, decision in self._workers.collect():
                for slot in self._waiting.pop(pair):
                    slot.decide(decision)
                    self._remember(slot)
        return window.popleft().verdict()

    def _remember(self, slot: _Slot) -> None:
        if slot.answer is not None and slot.decision is not None:
            self._known[slot.gold, slot.answer.text] = slot.decision
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _enter(self, gold: str, answer: Answer | None) -> _Slot:
        slot = _Slot(_understood(gold), answer, time.monotonic())
        known = None if answer is None else self._known.get((slot.gold, answer.text))
        if known is not None:
            slot.decide(known)
            return slot
        decision = _decide_without_algebra(slot.gold, answer)
        if isinstance(decision, Pair):
            if decision in self._waiting:
                self._waiting[decision].append(slot)
            else:
                self._waiting[decision] = [slot]
                self._workers.submit(decision)
        else:
            slot.decide(decision)
            self._remember(slot)
        return slot


@lru_cache(maxsize=4096)
def _understood(gold: str) -> str:
    """The answer in a gold text: what its box or sentence says, itself where it says no more than an answer."""
    found = extract_answer(gold[: 2 * LONGEST]) if len(gold) <= 2 * LONGEST else None
    if found is not None and found.found_by not in ("whole", "last line", "last sentence"):
        return found.text
    return _OPEN_BOX.sub("", gold).strip()


def _decide_without_algebra(gold: str, answer: Answer | None) -> Decision | Pair:
    """The verdict, or the formulas of which algebra must give it."""
    if len(gold) > LONGEST:
        return None, f"gold is longer than {LONGEST} characters"
    if (known := decide_fast(gold, answer.text if answer else "")) is not None and known[0] is None:
        return known
    if answer is None:
        return False, "no answer"
    if known is not None:
        return known
    first, second = for_algebra(normalise(gold)), for_algebra(normalise(answer.text))
    if not first:
        return None, "gold is no formula"
    if not second:
        return False, "answer is no formula"
    return (True, "same formula") if first == second else Pair(first, second)


def grade_many(pairs: Iterable[tuple[str, str]], workers: int = 1, timeout_s: float = 5.0) -> Iterator[Verdict]:
    """Verdicts of (gold, solution or answer) pairs, in order, by up to `workers` processes.

    A pair that takes more than `timeout_s` seconds, or kills its process, gets None and its reason. Equal pairs are
    compared once. Processes are started when the first pair needs algebra, and ended with the iterator. Raises
    `ValueError` for `workers` below 1 or `timeout_s` of 0 or less.
    """
    with closing(Grader(workers, timeout_s)) as grader:
        yield from grader.grade((gold, extract_answer(text)) for gold, text in pairs)


_shared: dict[tuple[int, float], Grader] = {}
_lock = threading.Lock()


def grade(gold: str, solution_or_answer: str, timeout_s: float = 5.0) -> Verdict:
    """The verdict of one pair. The process that does the algebra is kept for the next call, until Python ends."""
    with _lock:
        key = (os.getpid(), timeout_s)
        if key not in _shared:
            _shared[key] = Grader(1, timeout_s)
            atexit.register(_shared[key].close)
        (verdict,) = _shared[key].grade([(gold, extract_answer(solution_or_answer))])
        return verdict
