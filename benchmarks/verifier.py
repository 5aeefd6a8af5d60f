"""How fast and how right the grader is, beside plain math-verify, in one run."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice, repeat
from pathlib import Path
from typing import NamedTuple

from stages.outcome import normal, reading
from stages.outcome.grader import Grader
from stages.outcome.reading import Entry
from stages.outcome.verdict import Verdict

_GOLD_KEYS = ("gold", "answer")
_TIMES = 5
"""Times that few and many workers are measured, in turns, since one busy moment of the machine weighs much in a run."""

_EXPECTED_KEYS = ("value", "expected", "recorded_correct")


class Case(NamedTuple):
    """An entry and the verdict that the file expects, None where it says nothing."""

    entry: Entry
    expected: bool | None


class Rate(NamedTuple):
    """What a run took: wall clock and processor seconds of all its processes, their start apart."""

    pairs: int
    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.pairs / self.wall:12,.0f} {self.pairs / self.processor:16,.0f}"


def bench(path: Path, solutions: int, workers: int, timeout_s: float) -> None:
    """Print throughput on the pairs in `path`, on the distinct ones and on `solutions` of them, and who agrees."""
    cases = _read_cases(path)
    entries = [case.entry for case in cases]
    read = [reading.read(entry) for entry in entries]
    distinct = list(dict.fromkeys((one.gold, one.answer) for one in read if one.answer is not None))
    alone = [Entry(gold, f"\\boxed{{{answer}}}") for gold, answer in distinct]
    _say(f"{path.name}: {len(entries)} pairs, {len(alone)} distinct; repeated to {solutions}")
    _say(f"{'':34} {'pairs/s':>12} {'per processor s':>16}")

    plain_alone = _row("math-verify, distinct alone", _plain(alone)[1])
    plain, plain_all = _plain(entries)
    _row("math-verify, all", plain_all)
    own: list[Verdict] = []
    _row("here, all", _graded(entries, 1, timeout_s, own.append))
    here_alone = _row("here, distinct alone", _graded(alone, 1, timeout_s))
    shared = _graded(alone, workers, timeout_s)
    _row(f"here, distinct alone, {workers} workers", shared)

    few = _graded(_repeated(entries, solutions // 10), 1, timeout_s)
    before = _peak()
    runs = [[_graded(_repeated(entries, solutions), count, timeout_s) for count in (1, workers)] for _ in range(_TIMES)]
    one = _row(f"here, {solutions}", _median(run[0] for run in runs))
    many = _row(f"here, {solutions}, {workers} workers", _median(run[1] for run in runs))
    per_core = _ratio(one, plain_all)
    _say(f"times math-verify per processor: {per_core:.1f}, distinct alone {_ratio(here_alone, plain_alone):.1f}")
    _say(
        f"times one worker with {workers} of them on {os.cpu_count()} cores: "
        f"{one.wall / many.wall:.2f}, distinct alone {here_alone.wall / shared.wall:.2f}"
    )
    _say(f"peak memory: {before} MB after {few.pairs} pairs, {_peak()} MB after {solutions}; a worker {_largest()} MB")
    _agreement(cases, [verdict.value is True for verdict in own], plain)


def _read_cases(path: Path) -> list[Case]:
    """Cases of a file of JSON lines or of one list; rows are ``{gold, answer or pred}`` or ``{answer, solutions}``."""
    cases: list[Case] = []
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    for number, row in enumerate(rows, start=1):
        given = next((row[key] for key in ("solutions", "pred", "answer") if key in row), None)
        gold = next((row[key] for key in _GOLD_KEYS if key in row), None)
        if given is None or gold is None or (gold is given):
            raise ValueError(f"{path}: row {number}: expected gold and answer, gold and pred, or answer and solutions")
        texts = given if isinstance(given, list) else [given]
        expected = next((row[key] for key in _EXPECTED_KEYS if row.get(key) is not None), None)
        wanted = expected if isinstance(expected, list) else repeat(expected, len(texts))
        for text, value in zip(texts, wanted, strict=True):
            cases.append(Case(Entry(str(gold), str(text)), None if value is None else bool(value)))
    return cases


def _repeated(entries: list[Entry], count: int) -> Iterator[Entry]:
    """`count` entries; verdicts do not know problems, so repeated entries are those of other problems too."""
    return islice(chain.from_iterable(repeat(entries)), count)


def _plain(entries: list[Entry]) -> tuple[list[bool], Rate]:
    """What math-verify says when it is used as its documentation does."""
    import math_verify

    math_verify.verify(math_verify.parse(r"$0.5, \frac{2}{3}$"), math_verify.parse(r"$\pi+3\sqrt{10}, 2.5$"))
    began, used = time.perf_counter(), time.process_time()
    verdicts = [
        bool(math_verify.verify(math_verify.parse(_formula(entry.gold)), math_verify.parse(entry.solution)))
        for entry in entries
    ]
    return verdicts, Rate(len(entries), time.perf_counter() - began, time.process_time() - used)


def _formula(gold: str) -> str:
    return gold if "$" in gold or "\\boxed" in gold else f"${gold}$"


def _graded(
    entries: Iterable[Entry],
    workers: int,
    timeout_s: float,
    keep: Callable[[Verdict], object] = lambda _: None,
) -> Rate:
    """The rate of a fresh grader that has read nothing yet and has started its processes."""
    for remembered in (normal.normalise, reading._understood, reading._decide):
        remembered.cache_clear()
    with closing(Grader(workers, timeout_s)) as grader:
        grader.start()
        began, used = time.perf_counter(), time.process_time()
        count = 0
        for verdict in grader.grade(entries):
            keep(verdict)
            count += 1
        wall = time.perf_counter() - began
        processor = time.process_time() - used + grader.processor_s
    return Rate(count, wall, processor)


def _median(rates: Iterable[Rate]) -> Rate:
    """The run of middle length by the clock."""
    return sorted(rates, key=lambda rate: rate.wall)[_TIMES // 2]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _largest() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def _agreement(cases: list[Case], own: list[bool], plain: list[bool]) -> None:
    _say(f"verdicts as math-verify's: {sum(map(bool.__eq__, own, plain))} of {len(cases)}")
    judged = [number for number, case in enumerate(cases) if case.expected is not None]
    for name, verdicts in (("here", own), ("math-verify", plain)):
        right = sum(verdicts[number] is cases[number].expected for number in judged)
        if judged:
            _say(f"verdicts as expected, {name}: {right} of {len(judged)}")


def _ratio(one: Rate, other: Rate) -> float:
    return (one.pairs / one.processor) / (other.pairs / other.processor)


def _row(name: str, rate: Rate) -> Rate:
    _say(f"{name:34} {rate}")
    return rate


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verifier", description="Throughput and agreement, beside plain math-verify."
    )
    parser.add_argument("pairs", type=Path, help="JSON lines: gold and answer, or answer and solutions")
    parser.add_argument("--solutions", type=int, default=80_000, help="the pairs are repeated up to so many")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    arguments = parser.parse_args()
    bench(arguments.pairs, arguments.solutions, arguments.workers, arguments.timeout)


if __name__ == "__main__":
    main()
