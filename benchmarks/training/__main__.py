"""``python -m benchmarks.training``: rows per second and peak memory of this trainer and of TRL's, as a table.

Each runs in a fresh process, one after the other: TRL's trainer with its reference precomputed, then this one without
and with the step term, padded and packed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.common.console import run


def run_in_process(config: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
    """The metrics of one run, from a process of its own; raises `subprocess.TimeoutExpired` after `timeout_s`."""
    # Arguments are this module's own.
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.training.timed_run", json.dumps(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if process.returncode:
        raise RuntimeError(f"{config}: {(process.stderr.strip() or 'no message').splitlines()[-1]}")
    metrics: dict[str, Any] = json.loads(process.stdout.strip().splitlines()[-1])
    return metrics


def list_configs(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """TRL's trainer first; the others are compared with it."""
    shared = {
        "num_rows": arguments.rows,
        "batch_size": arguments.batch,
        "num_threads": arguments.threads,
        "size": arguments.size,
        "with_liger": False,
    }
    ours = [
        {**shared, "trainer": "ours", "w_step": w_step, "micro_batch_size": micro_batch_size, "packing": packing}
        for w_step in (0.0, 1.0)
        for micro_batch_size in arguments.micro_batch_size
        for packing in (False, True)
    ]
    return [{**shared, "trainer": "trl", "w_step": 0.0, "micro_batch_size": None, "packing": False}, *ours]


def format_table(results: list[dict[str, Any]]) -> str:
    """Markdown; ratios are to the first result."""
    first = results[0]
    lines = [
        "| trainer | w_step | rows a pass | rows/s | to TRL | CPU s/row | peak MB | to TRL | largest loss difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        apart = max(abs(a - b) for a, b in zip(result["losses"], first["losses"], strict=True))
        cells = [
            result["trainer"] + (", packed" if result["packing"] else ""),
            f"{result['w_step']:g}",
            str(result["micro_batch_size"] or "all"),
            f"{result['rows_per_second']:.2f}",
            f"{result['rows_per_second'] / first['rows_per_second']:.2f}",
            f"{result['cpu_seconds_per_row']:.3f}",
            f"{result['peak_mb']:.0f}",
            f"{result['peak_mb'] / first['peak_mb']:.2f}",
            f"{apart:.1e}" if result["w_step"] == 0 else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", choices=("small", "1b"), default="small")
    parser.add_argument("--micro-batch-size", type=int, nargs="+", default=[2])
    parser.add_argument("--out", type=Path, help="also write the metrics there, as JSON")
    arguments = parser.parse_args()
    results = [run_in_process(config) for config in list_configs(arguments)]
    print(format_table(results))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
