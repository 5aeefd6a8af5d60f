"""Speed and agreement of the maths verifier beside plain math-verify, in one run."""

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

from stages.common.errors import UserError
from stages.common.verifiers import Verdict, VerifierInput
from stages.common.verifiers.math import MathVerifier
from stages.common.verifiers.math.compare import answer_text, decision

_GOLD_KEYS = ("gold", "answer")
_NUM_RUNS = 5
"""Times that one and several workers are timed in turns, since load on the machine changes a single run much."""

_EXPECTED_KEYS = ("is_correct", "value", "expected", "recorded_correct")


class BenchInput(NamedTuple):
    """An input and the verdict that the file expects, None where it says nothing."""

    given: VerifierInput
    expected: bool | None


class Throughput(NamedTuple):
    """Pairs of a run, and the wall clock and processor seconds of all its processes, their start excluded."""

    pairs: int
    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.pairs / self.wall:12,.0f} {self.pairs / self.processor:16,.0f}"


def bench(path: Path, solutions: int, workers: int, timeout_s: float) -> None:
    """Print throughput on the pairs in `path`, on the distinct ones and on `solutions` of them, and who agrees."""
    inputs = _read_inputs(path)
    given = [one.given for one in inputs]
    prepared = [decision.prepare_input(one) for one in given]
    distinct = list(dict.fromkeys((one.gold, one.answer) for one in prepared if one.answer is not None))
    alone = [VerifierInput(gold, f"\\boxed{{{answer}}}") for gold, answer in distinct]
    _print(f"{path.name}: {len(given)} pairs, {len(alone)} distinct; repeated to {solutions}")
    _print(f"{'':34} {'pairs/s':>12} {'per processor s':>16}")

    plain_alone = _print_row("math-verify, distinct alone", _time_math_verify(alone)[1])
    plain, plain_all = _time_math_verify(given)
    _print_row("math-verify, all", plain_all)
    own: list[Verdict] = []
    _print_row("here, all", _time_verifier(given, 1, timeout_s, own.append))
    here_alone = _print_row("here, distinct alone", _time_verifier(alone, 1, timeout_s))
    shared = _time_verifier(alone, workers, timeout_s)
    _print_row(f"here, distinct alone, {workers} workers", shared)

    few = _time_verifier(_repeat(given, solutions // 10), 1, timeout_s)
    before = _peak_mb()
    runs = [
        [_time_verifier(_repeat(given, solutions), count, timeout_s) for count in (1, workers)]
        for _ in range(_NUM_RUNS)
    ]
    one = _print_row(f"here, {solutions}", _choose_median(run[0] for run in runs))
    many = _print_row(f"here, {solutions}, {workers} workers", _choose_median(run[1] for run in runs))
    per_core = _compare_speed(one, plain_all)
    per_core_alone = _compare_speed(here_alone, plain_alone)
    _print(f"times math-verify per processor: {per_core:.1f}, distinct alone {per_core_alone:.1f}")
    _print(
        f"times one worker with {workers} of them on {os.cpu_count()} cores: "
        f"{one.wall / many.wall:.2f}, distinct alone {here_alone.wall / shared.wall:.2f}"
    )
    _print(
        f"peak memory: {before} MB after {few.pairs} pairs, {_peak_mb()} MB after {solutions}; "
        f"a worker {_largest_child_mb()} MB"
    )
    _print_agreement(inputs, [verdict.is_correct is True for verdict in own], plain)


def _read_inputs(path: Path) -> list[BenchInput]:
    """Return the inputs in JSON lines or one list: ``{gold, answer or pred}`` or ``{answer, solutions}``."""
    inputs: list[BenchInput] = []
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    for number, row in enumerate(rows, start=1):
        given = next((row[key] for key in ("solutions", "pred", "answer") if key in row), None)
        gold = next((row[key] for key in _GOLD_KEYS if key in row), None)
        if given is None or gold is None or (gold is given):
            raise UserError(f"{path}: row {number}: expected gold and answer, gold and pred, or answer and solutions")
        texts = given if isinstance(given, list) else [given]
        expected = next((row[key] for key in _EXPECTED_KEYS if row.get(key) is not None), None)
        wanted = expected if isinstance(expected, list) else repeat(expected, len(texts))
        for text, value in zip(texts, wanted, strict=True):
            inputs.append(BenchInput(VerifierInput(str(gold), str(text)), None if value is None else bool(value)))
    return inputs


def _repeat(given: list[VerifierInput], count: int) -> Iterator[VerifierInput]:
    """Yield `count` inputs, repeating `given`."""
    return islice(chain.from_iterable(repeat(given)), count)


def _time_math_verify(given: list[VerifierInput]) -> tuple[list[bool], Throughput]:
    """Return math-verify's verdicts and speed, used as in its documentation."""
    import math_verify

    math_verify.verify(math_verify.parse(r"$0.5, \frac{2}{3}$"), math_verify.parse(r"$\pi+3\sqrt{10}, 2.5$"))
    began, used = time.perf_counter(), time.process_time()
    verdicts = [
        bool(math_verify.verify(math_verify.parse(_write_formula(one.gold)), math_verify.parse(one.completion)))
        for one in given
    ]
    return verdicts, Throughput(len(given), time.perf_counter() - began, time.process_time() - used)


def _write_formula(gold: str) -> str:
    return gold if "$" in gold or "\\boxed" in gold else f"${gold}$"


def _time_verifier(
    given: Iterable[VerifierInput],
    workers: int,
    timeout_s: float,
    keep: Callable[[Verdict], object] = lambda _: None,
) -> Throughput:
    """Return the speed of a new verifier with started processes and empty caches."""
    for cached in (answer_text.write_plainly, decision._read_gold, decision.decide_answer):
        cached.cache_clear()
    with closing(MathVerifier(workers, timeout_s)) as verifier:
        list(verifier.verify_many(VerifierInput(r"\sqrt{2}", rf"\boxed{{\sqrt{{{n + 3}}}}}") for n in range(workers)))
        verifier._comparisons.clear()
        began, used = time.perf_counter(), time.process_time()
        count = 0
        for verdict in verifier.verify_many(given):
            keep(verdict)
            count += 1
        wall = time.perf_counter() - began
        algebra = sum(pending.seconds for pending in verifier._comparisons.values())
        processor = time.process_time() - used + algebra
    return Throughput(count, wall, processor)


def _choose_median(runs: Iterable[Throughput]) -> Throughput:
    """Return the run with the median wall clock."""
    return sorted(runs, key=lambda one: one.wall)[_NUM_RUNS // 2]


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _largest_child_mb() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def _print_agreement(inputs: list[BenchInput], own: list[bool], plain: list[bool]) -> None:
    _print(f"verdicts as math-verify's: {sum(map(bool.__eq__, own, plain))} of {len(inputs)}")
    known = [number for number, one in enumerate(inputs) if one.expected is not None]
    for name, verdicts in (("here", own), ("math-verify", plain)):
        num_expected = sum(verdicts[number] is inputs[number].expected for number in known)
        if known:
            _print(f"verdicts as expected, {name}: {num_expected} of {len(known)}")


def _compare_speed(one: Throughput, other: Throughput) -> float:
    return (one.pairs / one.processor) / (other.pairs / other.processor)


def _print_row(name: str, speed: Throughput) -> Throughput:
    _print(f"{name:34} {speed}")
    return speed


def _print(line: str) -> None:
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
