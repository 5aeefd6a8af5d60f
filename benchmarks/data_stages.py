"""Speed and memory of the CPU stages: ``make bench-data``.

Synthetic rounds repeat recorded real problems with their eight completions, each copy with its own id. Whole-number
answers are shifted by the copy's number, so that the verifier's cache of repeated pairs does not help. The data set is
built from the recorded verdicts and from labels drawn by hash. Each stage is run by its own command.
"""

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
    list_shards,
    make_problem_id,
    make_sample_id,
    read_shard,
    write_json,
)

ROOT = Path(__file__).parents[1]
RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", ROOT.parent / "shared/data"), "recorded/math_100x8.jsonl")
DIGITS = 2
MAX_MEMORY_GB = 4.0
MAX_GROWTH = 1.05
STAGES = {
    "outcome": ("problems", "samples", "graded"),
    "select": ("samples", "outcomes", "selections"),
    "split": ("samples", "selections", "steps"),
    "dataset": ("problems", "samples", "outcomes", "selections", "steps", "labels", "datasets"),
}
"""Folders that a stage reads, and the last one, which it writes."""


@dataclass(frozen=True)
class StageMeasurement:
    """One stage on `samples` samples.

    Wall-clock seconds, and CPU seconds of all processes, which depend less on a busy machine. Memory is the peak of all
    processes together: their own, and pages of files, which the system frees if memory is short.
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


def shift_boxed_numbers(text: str, by: int) -> str:
    """`text` with `by` added to the whole numbers in its boxes."""
    return re.sub(r"\\boxed\{(\d{1,9})\}", lambda match: f"\\boxed{{{int(match[1]) + by}}}", text)


def make_round(folder: Path, rows: list[dict[str, Any]], samples: int) -> int:
    """Write ``problems``, ``samples`` and ``outcomes`` of about `samples` samples; return their number."""
    each = len(rows[0]["solutions"])
    problems = []
    for number in range(math.ceil(samples / each)):
        row, copy = rows[number % len(rows)], number // len(rows)
        answer = str(int(row["answer"]) + copy) if row["answer"].isdecimal() else row["answer"]
        text = f"{row['problem']} (variant {copy})"
        problems.append((make_problem_id(text, answer), text, answer, number % len(rows), copy))
    writers = [ShardWriter(folder / f"{table.name}s", table) for table in (PROBLEM, SAMPLE, OUTCOME)]
    by_shard: dict[str, list[tuple[str, str, str, int, int]]] = {shard: [] for shard in list_shards(DIGITS)}
    for problem in problems:
        by_shard[problem[0][:DIGITS]].append(problem)
    for shard, members in by_shard.items():
        known = [
            (name, "train", "math", text, "", answer, "bench", copy, "math") for name, text, answer, _, copy in members
        ]
        writers[0].write(shard, pl.DataFrame(known, schema=PROBLEM.schema, orient="row"))
        drawn = list(_make_samples(rows, members))
        writers[1].write(shard, pl.DataFrame([sample for sample, _ in drawn], schema=SAMPLE.schema, orient="row"))
        writers[2].write(shard, pl.DataFrame([outcome for _, outcome in drawn], schema=OUTCOME.schema, orient="row"))
    return writers[1].rows


def _make_samples(
    rows: list[dict[str, Any]], members: list[tuple[str, str, str, int, int]]
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """SAMPLE and OUTCOME rows of the problems of one shard."""
    for name, _, _, number, copy in members:
        whole = rows[number]["answer"].isdecimal()
        for index, solution in enumerate(rows[number]["solutions"]):
            text = shift_boxed_numbers(solution, copy) if whole else solution
            identity = make_sample_id(name, "p", "s", index, text)
            is_correct = rows[number]["recorded_correct"][index]
            sample = (identity, name, "p", "s", index, None, text, "stop", None, None, None, None)
            yield sample, (identity, name, "", None, is_correct, "recorded", "recorded")


def make_labels(folder: Path) -> None:
    """Write ``labels``: 85% of the steps correct, 10% incorrect and 5% unknown, by hash."""
    writer = ShardWriter(folder / "labels", LABEL)
    for shard in list_shards(DIGITS):
        steps = read_shard(folder / "steps", STEP, shard)
        drawn = pl.struct("sample_id", "step").hash(7) % 100
        labels = steps.select(
            "sample_id",
            "problem_id",
            "step",
            label=pl.when(drawn < 85).then(True).when(drawn < 95).then(False),
            reason=pl.lit("drawn by hash"),
            num_votes=pl.lit(1),
            agreement=pl.lit(1.0),
            first_error=pl.lit(None, dtype=pl.Int32),
            judge=pl.lit(content_hash("bench")),
        )
        writer.write(shard, labels)


def measure_stage(stage: str, samples: int, folder: Path) -> StageMeasurement:
    """Run a stage's command in `folder` and sample its memory."""
    options = [f"--{name}={name}" for name in STAGES[stage][:-1]]
    command = [sys.executable, "-m", f"stages.{stage}", "--recipe=params.yaml", *options,
               f"--out={STAGES[stage][-1]}", f"--report=reports/{stage}.json"]  # fmt: skip
    started, own, files = time.monotonic(), 0, 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STEPKTO_TRACEBACK": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    ended, status, usage = 0, 0, None
    while not ended:
        now = read_session_memory(process.pid)
        own, files = max(own, now[0]), max(files, now[1])
        time.sleep(0.05)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    seconds = time.monotonic() - started
    assert usage is not None
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return StageMeasurement(stage, samples, seconds, usage.ru_utime + usage.ru_stime, own / 1e9, files / 1e9)


def read_session_memory(session: int) -> tuple[int, int]:
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


def benchmark_stages(sizes: list[int], stages: list[str], recorded: Path, place: Path) -> list[StageMeasurement]:
    """Measure `stages` at every size, each in a temporary folder below `place`."""
    rows = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    recipe = yaml.safe_load((ROOT / "recipes/recorded-math.yaml").read_text(encoding="utf-8"))
    recipe["tables"] = {"shard_digits": DIGITS}
    recipe["runtime"] = {"num_workers": os.cpu_count() or 1}
    # Every sample is kept, so that as much as possible is written.
    everything: dict[str, Any] = {"max_correct": None, "max_incorrect": None, "require_both": False}
    recipe["select"] = {**everything, "balance": False, "deduplicate": False}
    measurements = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=place) as name:
            folder = Path(name)
            (folder / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
            samples = make_round(folder, rows, size)
            for stage in stages:
                if stage == "dataset":
                    make_labels(folder)
                measurements.append(measure_stage(stage, samples, folder))
                print(format_measurement(measurements[-1]), flush=True)
    return measurements


def format_measurement(it: StageMeasurement) -> str:
    times = f"{it.seconds:8.1f} s ({it.work_s:.1f} s of work) {it.rate:9,.0f} samples/s"
    return f"{it.stage:8} {it.samples:>9,} samples {times} {it.own_gb:6.2f} GB at most, {it.files_gb:.2f} GB of files"


def fit_growth(measurements: list[StageMeasurement]) -> dict[str, float]:
    """Per stage the exponent e of ``work ~ samples ** e`` between the smallest and the largest size."""
    exponents = {}
    for stage in dict.fromkeys(it.stage for it in measurements):
        by_size = sorted((it for it in measurements if it.stage == stage), key=lambda it: it.samples)
        first, last = by_size[0], by_size[-1]
        if last.samples > first.samples:
            exponents[stage] = math.log(last.work_s / first.work_s) / math.log(last.samples / first.samples)
    return exponents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100000,1000000", help="samples, separated by commas")
    parser.add_argument("--stages", default=",".join(STAGES), help="stages, separated by commas; dataset needs split")
    parser.add_argument("--recorded", type=Path, default=RECORDED)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where the rounds are made")
    parser.add_argument("--out", type=Path, help="also write the measurements as JSON here")
    arguments = parser.parse_args()
    if not arguments.recorded.is_file():
        raise SystemExit(f"{arguments.recorded}: no such file; name recorded completions with --recorded")
    sizes, stages = [int(size) for size in arguments.sizes.split(",")], arguments.stages.split(",")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise SystemExit(f"--stages: {unknown[0]} is none of {', '.join(STAGES)}")
    measurements = benchmark_stages(sizes, stages, arguments.recorded, arguments.place)
    exponents = fit_growth(measurements)
    for stage, exponent in exponents.items():
        print(f"{stage:8} work grows as samples to the power of {exponent:.3f}")
    if arguments.out:
        write_json(arguments.out, {"measurements": [vars(it) for it in measurements], "growth": exponents})
    memory = [(it.stage, it.own_gb + it.files_gb) for it in measurements]
    errors = [f"{stage}: {gb:.2f} GB" for stage, gb in memory if gb > MAX_MEMORY_GB]
    errors += [f"{stage}: exponent {exponent:.3f}" for stage, exponent in exponents.items() if exponent > MAX_GROWTH]
    if errors:
        raise SystemExit(f"more than {MAX_MEMORY_GB} GB or an exponent above {MAX_GROWTH}: {', '.join(errors)}")


if __name__ == "__main__":
    main()
