"""``make bench-audit``: how long ``audit verify`` takes over a run of the whole graph, and how much memory.

Eight made-up solutions of eight steps to each problem go through every stage, by `dvc repro`, into a folder that is
kept: asked again for as many samples, only the verification runs. SAMPLES=1000000 is the size that must take under 10
minutes on 4 cores. Of several sizes it also tells how the work grows, which must not be faster than the samples do.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from experiments.workspace import make_workspace, reproduce
from stages.common.toy_arithmetic import GAIN_VERBS, LOSS_VERBS, NAMES, OBJECTS
from tools.audit import CheckResults, verify

SAMPLES_EACH = 8
DAYS = 7
"""A step a day, and the answer: eight steps a solution."""

SLIP = 0.05
"""Share of steps that are wrong."""

DIGITS = 1
WANTED_S = 600
WANTED_SAMPLES = 1_000_000
MOST_GROWTH = 1.05


@dataclass(frozen=True)
class Measured:
    """One verification.

    Seconds by the clock, and of work by all processes together; peak memory of the process that asks, and of the
    largest that it starts.
    """

    samples: int
    seconds: float
    work_s: float
    own_gib: float
    largest_gib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000])
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    found = [_verify(samples, arguments.workers) for samples in sorted(arguments.samples)]
    faults = [f"more than {WANTED_S} s" for it in found if it.samples >= WANTED_SAMPLES and it.seconds > WANTED_S]
    first, last = found[0], found[-1]
    if last.samples > first.samples:
        exponent = math.log(last.work_s / first.work_s) / math.log(last.samples / first.samples)
        print(f"audit    work grows as samples to the power of {exponent:.3f}")
        if exponent > MOST_GROWTH:
            faults.append(f"exponent {exponent:.3f}")
    if faults:
        sys.exit(", ".join(faults))


def _verify(samples: int, workers: int) -> Measured:
    folder = Path("work/bench-audit", str(samples)).resolve()
    _make(folder, samples)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:  # from what _make used
        results, it = apart.submit(_measure, folder, workers).result()
    print("\n".join(results.format_lines()))
    seen = {check: result.num_checked for check, result in results.by_check.items()}
    print(
        f"audit    {seen['samples']:>9,} samples {seen['steps']:,} steps {it.seconds:8.1f} s "
        f"({it.work_s:.1f} s of work) {it.samples / it.seconds:9,.0f} samples/s "
        f"with {workers} processes of up to {it.largest_gib:.2f} GiB beside one of {it.own_gib:.2f} GiB",
        flush=True,
    )
    if results.is_broken:
        sys.exit("what was just made is broken")
    return it


def _measure(folder: Path, workers: int) -> tuple[CheckResults, Measured]:
    os.chdir(folder)
    began = time.monotonic()
    results = verify(Path(), num_workers=workers)
    seconds = time.monotonic() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    work = sum(one.ru_utime + one.ru_stime for one in used)
    return results, Measured(int(folder.name), seconds, work, *(one.ru_maxrss / 2**20 for one in used))


def _make(folder: Path, samples: int) -> None:
    """Run the graph over made-up solutions, unless that was done."""
    solutions = folder / "solutions.jsonl"
    if not solutions.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with solutions.with_suffix(".part").open("w", encoding="utf-8") as lines:
            for row in _rows(samples // SAMPLES_EACH):
                lines.write(json.dumps(row) + "\n")
        solutions.with_suffix(".part").rename(solutions)
    recipe = yaml.safe_load(Path("recipes/recorded-math.yaml").read_text(encoding="utf-8"))
    recipe["tables"] = {"shard_digits": DIGITS}
    recipe["problems"]["files"] = {"paths": [solutions.name], "source": "day_world"}
    recipe["sample"]["engine"]["recorded"] = {"path": solutions.name}
    recipe["judge"]["kind"] = "toy_arithmetic"
    recipe["evaluate"]["split"] = None  # an evaluation would have the same tables again
    recipe["dataset"] |= {"max_correct": None, "max_incorrect": None, "require_both": False, "balance": False}
    recipe["dataset"] |= {"deduplicate": False, "kl_block_size": 32}
    make_workspace(folder, recipe, folder / "cache")
    began = time.monotonic()
    reproduce(folder, folder / "repro.log")
    print(f"{folder}: made in {time.monotonic() - began:.0f} s")


def _rows(problems: int) -> Iterator[dict[str, object]]:
    rng = random.Random(0)
    seen: set[str] = set()
    while len(seen) < problems:
        text, start, changes = _problem(rng)
        if text not in seen:
            seen.add(text)
            right = _solution(start, changes, None)
            answer = str(start + sum(changes))
            solutions = [_solution(start, changes, rng) for _ in range(SAMPLES_EACH)]
            yield {"problem": text, "solution": right, "answer": answer, "solutions": solutions}


def _problem(rng: random.Random) -> tuple[str, int, list[int]]:
    thing, start = rng.choice(OBJECTS), rng.randint(20, 79)
    changes: list[int] = []
    said = ""
    for day in range(1, DAYS + 1):
        value = start + sum(changes)
        sign = 1 if value < 30 or (value < 70 and rng.random() < 0.5) else -1
        changes.append(sign * rng.randint(2, 9))
        said += f"Day {day}: {rng.choice(GAIN_VERBS if sign > 0 else LOSS_VERBS)} {abs(changes[-1])}. "
    return f"{rng.choice(NAMES)} has {start} {thing}. {said}How many {thing}?", start, changes


def _solution(start: int, changes: list[int], rng: random.Random | None) -> str:
    """All steps right, or with `rng` some of them not."""
    lines, value = [], start
    for day, change in enumerate(changes, start=1):
        stated = value + change + (rng.choice((-10, -1, 1, 10)) if rng and rng.random() < SLIP else 0)
        lines.append(f"Step {day}: {value} {'+' if change > 0 else '-'} {abs(change)} = {stated}")
        value = stated
    return "\n".join([*lines, f"The answer is \\boxed{{{value}}}"])


if __name__ == "__main__":
    main()
