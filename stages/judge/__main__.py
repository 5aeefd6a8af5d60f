"""``python -m stages.judge``: label every step of one round's samples.

``python -m stages.judge calibrate`` measures judges on solutions whose first errors people have found.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from stages.common.console import progress, run
from stages.common.params.base import load, load_seed
from stages.common.params.judge import JudgeParams
from stages.common.params.records import RecordsParams
from stages.common.tables import (
    JUDGED,
    PROBLEM,
    REPLY,
    SAMPLE,
    STEP,
    ShardWriter,
    read_shard,
    replace_dir,
    shard_names,
    write_json,
)
from stages.judge.calibrate import calibrate
from stages.judge.gate import pass_gate, refuse
from stages.judge.label import open_judge
from stages.judge.tally import Tally


def main() -> None:
    if sys.argv[1:2] == ["calibrate"]:
        calibrate(sys.argv[2:])
    else:
        judge()


def judge() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.judge", description=__doc__)
    for name in ("recipe", "problems", "samples", "steps", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    params = load(JudgeParams, arguments.recipe, "judge")
    shards = shard_names(load(RecordsParams, arguments.recipe, "records").shard_digits)
    label = f"judge {arguments.out.name}"
    seed = load_seed(arguments.recipe)
    found = pass_gate(params, seed, f"{label} gate")
    if params.require is not None and found is not None:
        write_json(arguments.report, {"judge": params.kind, "calibration": found})
        refuse(params.require, found, arguments.report)
    tally = Tally()
    with replace_dir(arguments.out) as folder, open_judge(params, seed, label) as judge:
        if found is not None:
            write_json(folder / "calibration.json", found)
        writer = ShardWriter(folder, JUDGED)
        replies = ShardWriter(folder / "replies", REPLY)
        for shard in progress(shards, label, unit="shards"):
            labels = judge.label(
                read_shard(arguments.problems, PROBLEM, shard),
                read_shard(arguments.samples, SAMPLE, shard),
                read_shard(arguments.steps, STEP, shard),
            )
            writer.write(shard, labels.judged)
            if params.models:
                replies.write(shard, labels.replies)
            tally.add(labels)
        costs = judge.costs()
    seconds = round(time.monotonic() - started, 1)
    write_json(
        arguments.report,
        {
            "judge": params.kind,
            "votes": params.votes,
            **tally.report(),
            "calibration": found,
            "costs": costs,
            "seconds": seconds,
        },
    )


if __name__ == "__main__":
    run(main)
