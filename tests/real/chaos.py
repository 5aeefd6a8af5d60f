"""`make chaos`: the smoke recipe under kills -9, full disks and a read-only cache, mended by `stepkto repro` alone.

Each run is a fresh clone on which some events fall while `stepkto repro` works; then one more `stepkto repro` must end
it, byte for byte as a run without events, and nothing that was finished is done twice. An event is drawn from the seed:

- kill: all processes, or a single one of them by chance, at a random moment, or within 0.1 s of a write of dvc.lock;
- disk full: the file system of data, cache and journals has no room left until the run has stopped;
- cache read-only: DVC cannot write its cache until the run has stopped.

The last two need a mount namespace of the user's own (`unshare`, no root); where there is none, they are skipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.clones import clone, edit, ran

DOCS = Path("docs/reliability.md")
MARK = "<!-- written by `make chaos` -->\n"

MAX_WAIT = 0.15
"""An event falls within this part of the time that the run without events took, after a start of `stepkto repro`."""
NEAR_LOCK_S = 0.1
TEMPORARY_MIB = 400
"""Size of the file system that becomes full."""
MAX_LINGER_S = 120.0
"""Processes that outlive `stepkto repro` by more are a fault; on a busy machine one may still be loading libraries."""
MAX_STOP_S = 60.0
"""Seconds after which a run that a full disk or a read-only cache did not stop is killed."""

KILLS = ("kill of all processes", "kill of one process", "kill near a write of dvc.lock")
FAULTS = ("disk full", "cache read-only")
NUM_DOCUMENTS = 500
"""M0's training documents, instead of 3,000: M0 has no checkpoints, and most events would fall into its training."""

CLONE = "clone"
"""The tree as it was at the beginning: it may be edited while this runs."""

CHEAP = {"code", "params", "report"}
"""Stages whose outputs DVC does not cache: they may run again, for seconds."""


@dataclass
class RunResult:
    """What happened in one run."""

    seed: str
    events: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    """Files that are not those of the run without events."""
    done_twice: list[str] = field(default_factory=list)
    needed_a_hand: str = ""
    num_restored: int = 0
    """How often dvc.lock was restored."""
    num_reused: int = 0
    """How often a finished training was found again."""
    seconds: float = 0.0

    @property
    def fell_short(self) -> bool:
        return bool(self.needed_a_hand or self.differing or self.done_twice)


class Run:
    """A clone, and `stepkto repro` in it."""

    def __init__(self, place: Path, seed: str, max_wait_s: float) -> None:
        self.place = place
        self.max_wait_s = max_wait_s
        self.random = random.Random(seed)
        self.result = RunResult(seed)
        self.finished: set[str] = set()
        self.trained: dict[str, int] = {}

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tools.cli", "repro"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with (self.place / "work/chaos.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.place, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def read_log(self) -> None:
        """Count what the last `stepkto repro` did again of what was finished before it."""
        text = (self.place / "work/chaos.log").read_text(encoding="utf-8", errors="replace")
        self.result.num_restored += text.count("dvc.lock was torn")
        self.result.num_reused += text.count("trained before with the same")
        started = ran(text)
        self.result.done_twice += [f"stage {name}" for name in started if name in self.finished - CHEAP]
        self.finished |= set(started[:-1])
        trained = {path.parent.name: path.stat().st_ino for path in self.place.glob("work/trained/*/report.json")}
        again = [key for key, inode in self.trained.items() if trained.get(key, inode) != inode]
        self.result.done_twice += [f"training {key}" for key in again]
        self.trained = trained

    def strike(self, kinds: tuple[str, ...]) -> bool:
        """One event on a new `stepkto repro`; False if that ended before."""
        process = self.start()
        kind = self.random.choice(kinds)
        is_struck = self._wait(process, self.random.uniform(0.0, self.max_wait_s), kind)
        if is_struck:
            self.result.events.append(kind)
            if kind in KILLS:
                self._kill(process, kind)
            else:
                self._break_disk(process, kind)
        self._end(process)
        self.read_log()
        return is_struck

    def finish(self) -> None:
        """The last `stepkto repro`, without an event."""
        process = self.start()
        if process.wait():
            log = (self.place / "work/chaos.log").read_text(encoding="utf-8", errors="replace")
            self.result.needed_a_hand = " | ".join(log.strip().splitlines()[-6:])
        self.read_log()
        self.result.done_twice += count_twice(self.place / "work/journal")

    def _wait(self, process: subprocess.Popen[bytes], seconds: float, kind: str) -> bool:
        """Wait for the moment of the event; whether the process still runs then."""
        lock, end = self.place / "dvc.lock", time.monotonic() + seconds
        if kind != KILLS[2]:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            return process.poll() is None
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        before = _read_state(lock)
        while _read_state(lock) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(self.random.uniform(0.0, NEAR_LOCK_S))
        return process.poll() is None

    def _kill(self, process: subprocess.Popen[bytes], kind: str) -> None:
        if kind != KILLS[1]:
            os.killpg(process.pid, signal.SIGKILL)
            return
        with suppress(psutil.Error):
            top = psutil.Process(process.pid)
            self.random.choice([top, *top.children(recursive=True)]).kill()

    def _break_disk(self, process: subprocess.Popen[bytes], kind: str) -> None:
        if kind == FAULTS[0]:
            used = shutil.disk_usage(self.place).used
            _mount(self.place, f"remount,size={used // 1024 + self.random.randint(0, 1500)}k")
        else:
            _mount(self.place / ".dvc/cache", "remount,bind,ro")
        with suppress(subprocess.TimeoutExpired):
            process.wait(MAX_STOP_S)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if kind == FAULTS[0]:
            _mount(self.place, f"remount,size={TEMPORARY_MIB}m")
        else:
            _mount(self.place / ".dvc/cache", "remount,bind,rw")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until all processes of the session are gone, except those of a run that goes on after a single kill."""
        process.wait()
        end = time.monotonic() + MAX_LINGER_S
        while members := _list_session(process.pid):
            if time.monotonic() > end:
                names = [" ".join(member.info["cmdline"] or [])[:200] for member in members]
                self.result.needed_a_hand = f"still running {MAX_LINGER_S:.0f} s after the command's end: {names}"
                for member in members:
                    with suppress(psutil.Error):
                        member.kill()
                return
            time.sleep(0.05)


def _read_state(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        state = path.stat()
        return state.st_size, state.st_mtime_ns
    return None


def _list_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _mount(target: Path, options: str) -> None:
    subprocess.run(["mount", "-o", options, str(target)], check=True)


def count_twice(journals: Path) -> list[str]:
    """Items that stand twice in the journals: they were made again although they were kept."""
    twice = []
    for path in sorted(journals.rglob("*.jsonl")):
        keys: Counter[str] = Counter()
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                keys.update([*json.loads(line.partition(b" ")[2])])
        twice += [f"item {key} of {path.name}" for key, count in keys.items() if count > 1]
    return twice


def hash_outputs(place: Path) -> dict[str, str]:
    """SHA-256 of all files that a run leaves: tables, models, reports, dvc.lock."""
    paths = [place / "dvc.lock"]
    paths += [path for name in ("data", "models", "reports") for path in (place / name).rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def make_run(
    place: Path, seed: str, num_events: int, kinds: tuple[str, ...], max_wait_s: float, expected: dict[str, str]
) -> RunResult:
    """One run at `place`, in a copy of the clone beside it."""
    started = time.monotonic()
    shutil.copytree(place.with_name(CLONE), place, dirs_exist_ok=True)
    (place / "work").mkdir()
    if kinds != KILLS:
        (place / ".dvc/cache").mkdir(exist_ok=True)
        subprocess.run(["mount", "--bind", place / ".dvc/cache", place / ".dvc/cache"], check=True)
    run = Run(place, seed, max_wait_s)
    while len(run.result.events) < num_events and run.strike(kinds) and not run.result.needed_a_hand:
        pass
    if not run.result.needed_a_hand:
        run.finish()
    found = hash_outputs(place)
    run.result.differing = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    run.result.seconds = round(time.monotonic() - started, 1)
    return run.result


def make_run_in_namespace(place: Path, seed: str, num_events: int, max_wait_s: float, expected: Path) -> RunResult:
    """`make_run` on a file system of its own, in a process that may mount."""
    out = place.with_suffix(".json")
    script = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && shift 2 && exec "$@"'
    own = [sys.executable, str(Path(__file__).resolve()), "--one", str(place), seed, str(num_events)]
    place.mkdir(parents=True)
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(TEMPORARY_MIB), str(place), *own]
    subprocess.run([*words, str(max_wait_s), str(expected), str(out)], check=True)
    return RunResult(**json.loads(out.read_text(encoding="utf-8")))


def has_namespaces() -> bool:
    """Whether this user may mount in a namespace."""
    words = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(words, capture_output=True, check=False).returncode


def format_table(results: list[RunResult], seed: str, skipped: str) -> str:
    """Markdown: what happened, by kind of event and by run."""
    events = Counter(event for result in results for event in result.events)
    minutes = sum(result.seconds for result in results) / 60
    total = {name: sum(getattr(result, name) for result in results) for name in ("num_restored", "num_reused")}
    lines = [
        f"{sum(events.values())} events in {len(results)} runs, seed {seed}, {minutes:.0f} minutes on "
        f"{len(os.sched_getaffinity(0))} cores.{skipped}",
        "",
        "| event | number |",
        "|---|---|",
        *(f"| {kind} | {events[kind]} |" for kind in (*KILLS, *FAULTS) if events[kind]),
        "",
        "| outcome | number |",
        "|---|---|",
        f"| runs that needed a hand | {sum(bool(result.needed_a_hand) for result in results)} |",
        f"| runs with a file that differs from the run without events | {sum(bool(it.differing) for it in results)} |",
        f"| finished items, stages or trainings done twice | {sum(len(it.done_twice) for it in results)} |",
        f"| times that dvc.lock was torn and restored | {total['num_restored']} |",
        f"| finished trainings found again | {total['num_reused']} |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run until `--events` events have fallen; exit code 1 if a run fell short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further run after this time")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {DOCS}")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        place, seed, num_events, max_wait_s, expected, out = options.one
        table = json.loads(Path(expected).read_text(encoding="utf-8"))
        result = make_run(Path(place), seed, int(num_events), (*KILLS, *FAULTS), float(max_wait_s), table)
        Path(out).write_text(json.dumps(asdict(result)), encoding="utf-8")
        return
    can_mount = has_namespaces()
    skipped = "" if can_mount else " Full disks and a read-only cache were skipped: this user may not mount."
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results: list[RunResult] = []
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    clone(folder / CLONE, "smoke")
    edit(folder / CLONE, "seed_model", "toy_arithmetic", "corpus", "num_documents", NUM_DOCUMENTS)
    whole = make_run(folder / "whole", "no events", 0, KILLS, 0.0, {})
    if whole.needed_a_hand:
        sys.exit(f"the run without events failed: {whole.needed_a_hand}")
    expected = folder / "expected.json"
    outputs = hash_outputs(folder / "whole")
    expected.write_text(json.dumps(outputs), encoding="utf-8")
    print(f"without events: {len(outputs)} files, {whole.seconds} s", flush=True)
    end = time.monotonic() + 60 * options.minutes
    while (num_left := options.events - sum(len(it.events) for it in results)) > 0 and time.monotonic() < end:
        seed = f"{options.seed}-{len(results)}"
        num_events = min(num_left, random.Random(seed).randint(10, 25))
        place = folder / f"run-{len(results)}"
        if can_mount and len(results) % 2:
            result = make_run_in_namespace(place, seed, num_events, MAX_WAIT * whole.seconds, expected)
        else:
            result = make_run(place, seed, num_events, KILLS, MAX_WAIT * whole.seconds, outputs)
        results.append(result)
        print(json.dumps(asdict(result)), flush=True)
        if not result.fell_short:
            shutil.rmtree(place)
    table = format_table(results, options.seed, skipped)
    print(table)
    if options.docs:
        head = DOCS.read_text(encoding="utf-8").partition(MARK)[0]
        DOCS.write_text(f"{head}{MARK}\n{table}", encoding="utf-8")
    if any(result.fell_short for result in results):
        sys.exit(f"the runs that fell short are left in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
