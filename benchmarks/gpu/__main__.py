"""``python -m benchmarks.gpu``: what one GPU does, in less than eight minutes, as one table and JSON.

Each part is a process of its own with a time limit; one that fails, or for which no time is left, says why in the table
and costs the others nothing.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.console import run

GROUP_ENDS_S = {"train": 270, "sample": 380, "round": 465}
"""Seconds from the start after which no part of the group runs: what one does not use is left to the next."""

TINY_SLACK = 5
"""Time limits of tiny parts are so many times as long: a CPU may be busy with other things."""

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Part:
    """One measurement: `module` is run with `config` as its argument, and its last line is the result as JSON."""

    group: str
    name: str
    limit_s: int
    module: str
    config: dict[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    package: str | None = None
    """Without this package the part is not run."""


def list_training_parts(is_tiny: bool) -> list[Part]:
    """Trainers with the same rows per optimizer step, each with several numbers of rows per pass."""
    batch, passes = (4, (2, 4)) if is_tiny else (32, (8, 16, 32))
    shared: dict[str, Any] = {
        "size": "tiny" if is_tiny else "1b",
        "batch_size": batch,
        "num_rows": batch * (2 if is_tiny else 3),  # for three epochs
        "num_threads": 1,
        "w_step": 0.0,
        "packing": False,
        "with_liger": False,
    }
    trl, ours = {**shared, "trainer": "trl"}, {**shared, "trainer": "ours", "w_step": 1.0}
    packed, liger = {**ours, "packing": True}, {**trl, "with_liger": True}
    # Those that matter most first.
    runs: list[tuple[str, dict[str, Any], int, str | None]] = [
        *(run for rows in passes[1:] for run in (("TRL", trl, rows, None), ("ours, packed", packed, rows, None))),
        *(("TRL", trl, passes[0], None), ("ours, padded", ours, passes[0], None)),
        ("TRL, Liger's kernels", liger, passes[1], "liger_kernel"),
    ]
    return [
        Part(
            "train",
            f"{name}, {rows} rows a pass",
            70,
            "benchmarks.training.timed_run",
            {**config, "micro_batch_size": rows},
            package=package,
        )
        for name, config, rows, package in runs
    ]


def list_sampling_parts(is_tiny: bool, folder: Path, vllm_python: str) -> list[Part]:
    """The same prompts through transformers and vLLM."""
    num_prompts, num_tokens = (4, 8) if is_tiny else (128, 256)
    size = "tiny" if is_tiny else "1b"
    config = {"size": size, "folder": str(folder), "num_prompts": num_prompts, "num_tokens": num_tokens}
    module = "benchmarks.gpu.timed_sampling"
    return [
        Part("sample", "transformers", 60, module, {**config, "engine": "generate"}),
        Part("sample", "vLLM", 120, module, {**config, "engine": "vllm"}, vllm_python, "vllm"),
    ]


def run_part(part: Part, left_s: float, slack: int = 1) -> dict[str, Any]:
    """The part's metrics, or ``failed`` with a reason; `slack` multiplies its own limit."""
    limit_s = min(slack * part.limit_s, left_s)
    if limit_s < 1:
        return {"failed": "no time was left"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        if part.package and not _has_package(part.python, part.package):
            return {"failed": f"{part.package} is not installed"}
        done = subprocess.run(
            [part.python, "-m", part.module, json.dumps(part.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
            cwd=ROOT,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit_s:.0f} s"}
    except OSError as error:
        return {"failed": str(error)}
    if done.returncode:
        return {"failed": (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1][:200]}
    try:
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"failed": "no result was printed"}
    return result


def _has_package(python: str, package: str) -> bool:
    if python == sys.executable:
        return importlib.util.find_spec(package) is not None
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], check=False, timeout=30).returncode == 0


def format_table(results: list[dict[str, Any]]) -> str:
    """Markdown; training is compared with TRL's fastest run."""
    trl = [it for it in results if it["name"].startswith("TRL") and "rows_per_second" in it]
    best = max(trl, key=lambda it: it["rows_per_second"], default=None)
    lines = ["| part | what | speed | to TRL's best | peak GB | to TRL's best | MFU |", "|---|---|---|---|---|---|---|"]
    for result in results:
        cells = ["", "", "", "", ""]
        if "failed" in result:
            cells[0] = f"failed: {result['failed']}"
        elif "rows_per_second" in result:
            speed, peak = result["rows_per_second"], result["peak_mb"]
            cells = [f"{speed:.1f} rows/s", "", f"{peak / 1024:.1f}", "", ""]
            if best:
                cells[1], cells[3] = f"{speed / best['rows_per_second']:.2f}", f"{peak / best['peak_mb']:.2f}"
            if result["mfu"] is not None:
                cells[4] = f"{result['mfu']:.1%}"
        elif "tokens_per_second" in result:
            cells[0] = f"{result['tokens_per_second']:.0f} tokens/s"
        else:
            cells[0] = f"{result['seconds']:.0f} s"
        lines.append(f"| {result['group']} | {' | '.join([result['name'], *cells])} |")
    return "\n".join(lines)


def describe_device() -> str:
    """The GPU's name and the versions that decide its speed, from a process that frees it again."""
    code = (
        "import torch, transformers, trl; g = torch.cuda.is_available();"
        "print(torch.cuda.get_device_name() if g else 'no GPU', '; torch', torch.__version__,"
        "'transformers', transformers.__version__, 'trl', trl.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip().replace(" ;", ";")


def find_vllm_python() -> str:
    """The Python of vLLM's own environment where there is one beside this one."""
    own = ROOT / ".venv-vllm" / "bin" / "python"
    return os.environ.get("VLLM_PYTHON") or (str(own) if own.exists() else sys.executable)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="models and runs so small that a CPU does; says nothing")
    parser.add_argument("--parts", nargs="+", choices=GROUP_ENDS_S, default=list(GROUP_ENDS_S))
    parser.add_argument("--out", type=Path, default=Path("work/bench/gpu.json"))
    arguments = parser.parse_args()
    started, slack = time.monotonic(), TINY_SLACK if arguments.tiny else 1
    results = []
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            *list_training_parts(arguments.tiny),
            *list_sampling_parts(arguments.tiny, Path(folder) / "model", find_vllm_python()),
            Part("round", "recipes/smoke.yaml, packed rows in bfloat16", 200, "benchmarks.gpu.smoke_round"),
        ]
        device = describe_device()
        for part in parts:
            if part.group in arguments.parts:
                result = run_part(part, started + slack * GROUP_ENDS_S[part.group] - time.monotonic(), slack)
                results.append({"group": part.group, "name": part.name, **result})
                print(f"{part.group}: {part.name}: {result.get('failed', 'done')}", file=sys.stderr, flush=True)
                arguments.out.parent.mkdir(parents=True, exist_ok=True)  # what is done is kept if the rest is killed
                text = json.dumps({"device": device, "results": results}, indent=1)
                arguments.out.write_text(text + "\n", encoding="utf-8")
    print(device, format_table(results), sep="\n\n")


if __name__ == "__main__":
    run(main)
