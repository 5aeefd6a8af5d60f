"""``python -m benchmarks.training``: rows per second and peak memory of this trainer and of TRL's, as a table.

Every measurement runs in a fresh process, one after the other, all in one run: TRL's trainer with its reference
computed beforehand, then this one without and with the step term.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.common.console import run


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """The figures of one job, from a process of its own."""
    # Arguments are this module's own.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training.measure", json.dumps(job)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{job}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def jobs(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """TRL's trainer first, to which the others are compared."""
    shared = {"rows": arguments.rows, "batch": arguments.batch, "threads": arguments.threads, "size": arguments.size}
    ours = [
        {**shared, "trainer": "ours", "w_step": w_step, "pass_rows": pass_rows}
        for w_step in (0.0, 1.0)
        for pass_rows in arguments.pass_rows
    ]
    return [{**shared, "trainer": "trl", "w_step": 0.0, "pass_rows": None}, *ours]


def table(results: list[dict[str, Any]]) -> str:
    """Markdown; ratios are to the first result."""
    first = results[0]
    lines = [
        "| trainer | w_step | pass_rows | rows/s | to TRL | CPU s/row | peak MB | to TRL | largest loss difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        apart = max(abs(a - b) for a, b in zip(result["losses"], first["losses"], strict=True))
        cells = [
            result["trainer"],
            f"{result['w_step']:g}",
            str(result["pass_rows"] or "all"),
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
    parser.add_argument("--pass-rows", type=int, nargs="+", default=[2])
    parser.add_argument("--out", type=Path, help="also write the figures there, as JSON")
    arguments = parser.parse_args()
    results = [measured(job) for job in jobs(arguments)]
    print(table(results))
    if results[0]["device"] != "cpu":
        print(
            *(f"{r['trainer']}: {r['flops_per_second'] / 1e12:.1f} TFLOP/s on {r['device']}" for r in results), sep="\n"
        )
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
