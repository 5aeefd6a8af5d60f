"""How fast the CPU stages are and what memory they need: ``make bench-data``.

Synthetic rounds are made from recorded real solutions: every problem and its eight solutions again and again, each
copy with an id of its own. Where gold and answer are whole numbers they are shifted by the copy's number, so that the
grader's memory of pairs that come again does not help it. The data set is built on the recorded verdicts and on labels
drawn by hash, whatever the other stages found. Each stage is run by its own command.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    SAMPLE,
    STEP,
    ShardWriter,
    content_hash,
    problem_id,
    read_shard,
    sample_id,
    shard_names,
    write_json,
)

ROOT = Path(__file__).parents[1]
RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", ROOT.parent / "shared/data"), "recorded/math_100x8.jsonl")
DIGITS = 2
MOST_MEMORY_GB = 4.0
MOST_GROWTH = 1.05
STAGES = {
    "split": ("samples", "steps"),
    "outcome": ("problems", "samples", "graded"),
    "dataset": ("problems", "samples", "steps", "labels", "outcomes", "datasets"),
}
"""Folders that a stage reads, and the last one, which it writes."""


@dataclass(frozen=True)
class Measured:
    """One stage on `samples` samples.

    Seconds by the clock, and of work by all processes together, which a busy machine lengthens less. Memory is the most
    that the processes held together at one moment: of their own, and pages of files that they read, which the system
    takes back where memory is short.
    """

    stage: str
    samples: int
    seconds: float
    work_s: float
    own_gb: float
    files_gb: float

    @property
    def rate(self) -> float:
        return self.samples / self.seconds


def shifted(text: str, by: int) -> str:
    """`text` with the whole numbers in its boxes moved up by `by`."""
    return re.sub(r"\\boxed\{(\d{1,9})\}", lambda found: f"\\boxed{{{int(found[1]) + by}}}", text)


def make_round(folder: Path, rows: list[dict[str, Any]], samples: int) -> int:
    """Write ``problems``, ``samples`` and ``outcomes`` of about `samples` samples; returns how many there are."""
    each = len(rows[0]["solutions"])
    problems = []
    for number in range(math.ceil(samples / each)):
        row, copy = rows[number % len(rows)], number // len(rows)
        answer = str(int(row["answer"]) + copy) if row["answer"].isdecimal() else row["answer"]
        text = f"{row['problem']} (variant {copy})"
        problems.append((problem_id(text, answer), text, answer, number % len(rows), copy))
    writers = [ShardWriter(folder / f"{table.name}s", table) for table in (PROBLEM, SAMPLE, OUTCOME)]
    by_shard: dict[str, list[tuple[str, str, str, int, int]]] = {shard: [] for shard in shard_names(DIGITS)}
    for problem in problems:
        by_shard[problem[0][:DIGITS]].append(problem)
    for shard, members in by_shard.items():
        known = [
            (name, "train", "math", text, "", answer, "bench", copy, "math") for name, text, answer, _, copy in members
        ]
        writers[0].write(shard, pl.DataFrame(known, schema=PROBLEM.schema, orient="row"))
        drawn = list(_samples(rows, members))
        writers[1].write(shard, pl.DataFrame([sample for sample, _ in drawn], schema=SAMPLE.schema, orient="row"))
        writers[2].write(shard, pl.DataFrame([outcome for _, outcome in drawn], schema=OUTCOME.schema, orient="row"))
    return writers[1].rows


def _samples(
    rows: list[dict[str, Any]], members: list[tuple[str, str, str, int, int]]
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """SAMPLE and OUTCOME rows of the problems of one shard."""
    for name, _, _, number, copy in members:
        whole = rows[number]["answer"].isdecimal()
        for index, solution in enumerate(rows[number]["solutions"]):
            text = shifted(solution, copy) if whole else solution
            identity = sample_id(name, "p", "s", index, text)
            right = rows[number]["recorded_correct"][index]
            sample = (identity, name, "p", "s", index, None, text, "stop", None, None)
            yield sample, (identity, name, "", None, right, "recorded", "recorded")


def make_labels(folder: Path) -> None:
    """Write ``judged``: of the steps 85% right, 10% wrong and 5% unknown, by hash."""
    writer = ShardWriter(folder / "labels", LABEL)
    for shard in shard_names(DIGITS):
        steps = read_shard(folder / "steps", STEP, shard)
        drawn = pl.struct("sample_id", "step").hash(7) % 100
        judged = steps.select(
            "sample_id",
            "problem_id",
            "step",
            label=pl.when(drawn < 85).then(True).when(drawn < 95).then(False),
            reason=pl.lit("drawn by hash"),
            votes=pl.lit(1),
            agreement=pl.lit(1.0),
            first_error=pl.lit(None, dtype=pl.Int32),
            judge=pl.lit(content_hash("bench")),
        )
        writer.write(shard, judged)


def measure(stage: str, samples: int, folder: Path) -> Measured:
    """Run a stage's command in `folder` and watch its memory."""
    options = [f"--{name}={name}" for name in STAGES[stage][:-1]]
    command = [sys.executable, "-m", f"stages.{stage}", "--recipe=params.yaml", *options,
               f"--out={STAGES[stage][-1]}", f"--report=reports/{stage}.json"]  # fmt: skip
    started, own, files = time.monotonic(), 0, 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STEPKTO_TRACEBACK": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    ended, status, usage = 0, 0, None
    while not ended:
        now = session_memory(process.pid)
        own, files = max(own, now[0]), max(files, now[1])
        time.sleep(0.05)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    seconds = time.monotonic() - started
    assert usage is not None
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Measured(stage, samples, seconds, usage.ru_utime + usage.ru_stime, own / 1e9, files / 1e9)


def session_memory(session: int) -> tuple[int, int]:
    """Resident bytes of all processes of a session: their own, and those of files; shared pages count for each."""
    own = files = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                # After the name in brackets, which may hold spaces: state, parent, group, session, ...
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == session:
                    pages = (entry / "statm").read_text(encoding="utf-8").split()
                    resident, shared = (int(number) * os.sysconf("SC_PAGE_SIZE") for number in pages[1:3])
                    own, files = own + resident - shared, files + shared
            except (FileNotFoundError, ProcessLookupError):
                continue
    return own, files


def bench(sizes: list[int], stages: list[str], recorded: Path, place: Path) -> list[Measured]:
    """Measure `stages` at every size, each in a folder of its own below `place` that is gone afterwards."""
    rows = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    recipe = yaml.safe_load((ROOT / "recipes/recorded-math.yaml").read_text(encoding="utf-8"))
    recipe["tables"] = {"shard_digits": DIGITS}
    recipe["runtime"] = {"num_workers": os.cpu_count() or 1}
    # Every sample is kept: the most that there can be to write.
    everything: dict[str, Any] = {"max_correct": None, "max_incorrect": None, "require_both": False}
    recipe["dataset"] |= {**everything, "balance": False, "deduplicate": False}
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=place) as name:
            folder = Path(name)
            (folder / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
            samples = make_round(folder, rows, size)
            for stage in stages:
                if stage == "dataset":
                    make_labels(folder)
                found.append(measure(stage, samples, folder))
                print(show(found[-1]), flush=True)
    return found


def show(it: Measured) -> str:
    times = f"{it.seconds:8.1f} s ({it.work_s:.1f} s of work) {it.rate:9,.0f} samples/s"
    return f"{it.stage:8} {it.samples:>9,} samples {times} {it.own_gb:6.2f} GB at most, {it.files_gb:.2f} GB of files"


def growth(found: list[Measured]) -> dict[str, float]:
    """Per stage the exponent e of ``work ~ samples ** e`` between the smallest and the largest size."""
    exponents = {}
    for stage in dict.fromkeys(it.stage for it in found):
        ours = sorted((it for it in found if it.stage == stage), key=lambda it: it.samples)
        first, last = ours[0], ours[-1]
        if last.samples > first.samples:
            exponents[stage] = math.log(last.work_s / first.work_s) / math.log(last.samples / first.samples)
    return exponents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100000,1000000", help="samples, separated by commas")
    parser.add_argument("--stages", default=",".join(STAGES), help="stages, separated by commas; dataset needs split")
    parser.add_argument("--recorded", type=Path, default=RECORDED)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where the rounds are made")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON here")
    arguments = parser.parse_args()
    if not arguments.recorded.is_file():
        raise SystemExit(f"{arguments.recorded}: no such file; name recorded solutions with --recorded")
    sizes, stages = [int(size) for size in arguments.sizes.split(",")], arguments.stages.split(",")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise SystemExit(f"--stages: {unknown[0]} is none of {', '.join(STAGES)}")
    found = bench(sizes, stages, arguments.recorded, arguments.place)
    exponents = growth(found)
    for stage, exponent in exponents.items():
        print(f"{stage:8} work grows as samples to the power of {exponent:.3f}")
    if arguments.out:
        write_json(arguments.out, {"measured": [vars(it) for it in found], "growth": exponents})
    memory = [(it.stage, it.own_gb + it.files_gb) for it in found]
    faults = [f"{stage}: {gb:.2f} GB" for stage, gb in memory if gb > MOST_MEMORY_GB]
    faults += [f"{stage}: exponent {exponent:.3f}" for stage, exponent in exponents.items() if exponent > MOST_GROWTH]
    if faults:
        raise SystemExit(f"more than {MOST_MEMORY_GB} GB or an exponent above {MOST_GROWTH}: {', '.join(faults)}")


if __name__ == "__main__":
    main()
