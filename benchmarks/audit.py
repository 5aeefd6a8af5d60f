"""``make bench-audit``: how long ``audit verify`` and the page's views take over a run of the whole graph.

Eight generated completions of eight steps to each problem go through every stage, by `dvc repro`, into a folder that is
kept: with the same number of samples, the next call runs only the verification. SAMPLES=1000000 must take under 10
minutes on 4 cores. With several sizes it also measures how the work grows, which must not be faster than the samples.
Of the page it measures how long `audit serve` takes to ask the first label, and with `--show-labels` each view.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.workspace import make_workspace, reproduce
from stages.common.toy_arithmetic import GAIN_VERBS, LOSS_VERBS, NAMES, OBJECTS
from tools.audit import CheckResults, verify

SAMPLES_PER_PROBLEM = 8
DAYS = 7
"""A step a day, and the answer: eight steps a solution."""

ERROR_RATE = 0.05
"""Fraction of steps that are incorrect."""

SHARD_DIGITS = 1
MAX_START_S = 120
MAX_DURATION_S = 600
TARGET_SAMPLES = 1_000_000
MAX_GROWTH_EXPONENT = 1.05


@dataclass(frozen=True)
class VerificationTiming:
    """One verification.

    Wall-clock seconds, and CPU seconds of all processes; peak memory of the calling process and of the largest worker.
    """

    samples: int
    seconds: float
    cpu_s: float
    parent_gib: float
    worker_gib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000])
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    timings = [_verify(samples, arguments.workers) for samples in sorted(arguments.samples)]
    large = [timing for timing in timings if timing.samples >= TARGET_SAMPLES]
    errors = [f"more than {MAX_DURATION_S} s" for timing in large if timing.seconds > MAX_DURATION_S]
    first, last = timings[0], timings[-1]
    if last.samples > first.samples:
        exponent = math.log(last.cpu_s / first.cpu_s) / math.log(last.samples / first.samples)
        print(f"audit    work grows as samples to the power of {exponent:.3f}")
        if exponent > MAX_GROWTH_EXPONENT:
            errors.append(f"exponent {exponent:.3f}")
    if errors:
        sys.exit(", ".join(errors))


def _verify(samples: int, workers: int) -> VerificationTiming:
    folder = Path("work/bench-audit", str(samples)).resolve()
    _make(folder, samples)
    # A process of its own, so that memory used by _make is not counted.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        results, timing = pool.submit(_time_verification, folder, workers).result()
    print("\n".join(results.format_lines()))
    seen = {check: result.num_checked for check, result in results.by_check.items()}
    print(
        f"audit    {seen['samples']:>9,} samples {seen['steps']:,} steps {timing.seconds:8.1f} s "
        f"({timing.cpu_s:.1f} s of work) {timing.samples / timing.seconds:9,.0f} samples/s "
        f"with {workers} processes of up to {timing.worker_gib:.2f} GiB beside one of {timing.parent_gib:.2f} GiB",
        flush=True,
    )
    if results.is_broken:
        sys.exit("the run that was just made is broken")
    views = _time_views(folder)
    print(f"page     {samples:>9,} samples", *(f"{seconds:.2f} s {view}" for view, seconds in views.items()), sep="  ")
    return timing


def _time_views(folder: Path) -> dict[str, float]:
    """Seconds until the server has answered each view, the first of both servers from the start of its command."""
    started = time.monotonic()
    with _serve(folder) as port:
        _ask(port, "label/next", MAX_START_S, {})
        seconds = {"first solution to label, from the start": time.monotonic() - started}
    started = time.monotonic()
    with _serve(folder, "--show-labels") as port:
        card = _ask(port, "card", MAX_START_S)["card"]
        seconds["first problem, from the start"] = time.monotonic() - started
        for view, request in {
            "filters": "choices",
            "overview": "overview",
            "another problem": "card?position=1",
            "search, a rare text": "search?text=64+%2B+7",
            "search, a text in all": "search?text=the+answer",
            "search, a text in none": "search?text=no+such+text",
            "across rounds": f"comparison?problem={card['problem_id']}",
        }.items():
            before = time.monotonic()
            _ask(port, request)
            seconds[view] = time.monotonic() - before
    return seconds


@contextmanager
def _serve(folder: Path, *options: str) -> Iterator[str]:
    """The port at which `audit serve` listens, or will."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-P", "-m", "tools.cli", "audit", "serve", *options, "--port", port]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}  # this code, not the copy in `folder`
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        server.terminate()
        server.wait()


def _ask(port: str, path: str, timeout_s: float = 0, body: Any = None) -> Any:
    """What the server answers; for `timeout_s` a server that does not listen yet is asked again."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", data, {"Content-Type": "application/json"})
    until = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _time_verification(folder: Path, workers: int) -> tuple[CheckResults, VerificationTiming]:
    os.chdir(folder)
    started = time.monotonic()
    results = verify(Path(), num_workers=workers)
    seconds = time.monotonic() - started
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    work = sum(one.ru_utime + one.ru_stime for one in used)
    return results, VerificationTiming(int(folder.name), seconds, work, *(one.ru_maxrss / 2**20 for one in used))


def _make(folder: Path, samples: int) -> None:
    """Run the graph over made-up solutions, unless that was done."""
    solutions = folder / "solutions.jsonl"
    if not solutions.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with solutions.with_suffix(".part").open("w", encoding="utf-8") as lines:
            for row in _rows(samples // SAMPLES_PER_PROBLEM):
                lines.write(json.dumps(row) + "\n")
        solutions.with_suffix(".part").rename(solutions)
    recipe = yaml.safe_load(Path("recipes/recorded-math.yaml").read_text(encoding="utf-8"))
    recipe["tables"] = {"shard_digits": SHARD_DIGITS}
    recipe["problems"]["files"] = {"paths": [solutions.name], "source": "toy_arithmetic"}
    recipe["sample"]["engine"]["recorded"] = {"path": solutions.name}
    recipe["judge"]["kind"] = "toy_arithmetic"
    recipe["evaluate"]["split"] = None  # an evaluation would have the same tables again
    recipe["select"] = {"max_correct": None, "max_incorrect": None, "require_both": False, "balance": False}
    recipe["select"] |= {"deduplicate": False}
    recipe["dataset"]["kl_block_size"] = 32
    make_workspace(folder, recipe, folder / "cache")
    started = time.monotonic()
    reproduce(folder, folder / "repro.log")
    print(f"{folder}: made in {time.monotonic() - started:.0f} s")


def _rows(problems: int) -> Iterator[dict[str, object]]:
    rng = random.Random(0)
    seen: set[str] = set()
    while len(seen) < problems:
        text, start, changes = _problem(rng)
        if text not in seen:
            seen.add(text)
            reference = _solution(start, changes, None)
            answer = str(start + sum(changes))
            solutions = [_solution(start, changes, rng) for _ in range(SAMPLES_PER_PROBLEM)]
            yield {"problem": text, "solution": reference, "answer": answer, "solutions": solutions}


def _problem(rng: random.Random) -> tuple[str, int, list[int]]:
    thing, start = rng.choice(OBJECTS), rng.randint(20, 79)
    changes: list[int] = []
    text_of_days = ""
    for day in range(1, DAYS + 1):
        value = start + sum(changes)
        sign = 1 if value < 30 or (value < 70 and rng.random() < 0.5) else -1
        changes.append(sign * rng.randint(2, 9))
        text_of_days += f"Day {day}: {rng.choice(GAIN_VERBS if sign > 0 else LOSS_VERBS)} {abs(changes[-1])}. "
    return f"{rng.choice(NAMES)} has {start} {thing}. {text_of_days}How many {thing}?", start, changes


def _solution(start: int, changes: list[int], rng: random.Random | None) -> str:
    """All steps correct, or with `rng` some of them not."""
    lines, value = [], start
    for day, change in enumerate(changes, start=1):
        stated = value + change + (rng.choice((-10, -1, 1, 10)) if rng and rng.random() < ERROR_RATE else 0)
        lines.append(f"Step {day}: {value} {'+' if change > 0 else '-'} {abs(change)} = {stated}")
        value = stated
    return "\n".join([*lines, f"The answer is \\boxed{{{value}}}"])


if __name__ == "__main__":
    main()
