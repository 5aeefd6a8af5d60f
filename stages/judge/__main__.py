"""``python -m stages.judge``: label every step of one round's samples.

``python -m stages.judge calibrate`` measures judges on solutions whose first errors people have found.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from stages.common.console import progress, run, run_stage
from stages.common.params.block import load, load_seed
from stages.common.params.judge import JudgeParams
from stages.common.params.tables import TablesParams
from stages.common.tables import (
    LABEL,
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


def label(recipe: Path, problems: Path, samples: Path, steps: Path, out: Path, report: Path) -> None:
    """Label every step of one round's samples."""
    started = time.monotonic()
    params = load(JudgeParams, recipe, "judge")
    shards = shard_names(load(TablesParams, recipe, "tables").shard_digits)
    desc = f"judge {out.name}"
    seed = load_seed(recipe)
    found = pass_gate(params, seed, f"{desc} gate")
    if params.require is not None and found is not None:
        write_json(report, {"judge": params.kind, "calibration": found})
        refuse(params.require, found, report)
    tally = Tally()
    with replace_dir(out) as folder, open_judge(params, seed, desc) as judge:
        if found is not None:
            write_json(folder / "calibration.json", found)
        writer = ShardWriter(folder, LABEL)
        replies = ShardWriter(folder / "replies", REPLY)
        for shard in progress(shards, desc, unit="shards"):
            labels = judge.label(
                read_shard(problems, PROBLEM, shard),
                read_shard(samples, SAMPLE, shard),
                read_shard(steps, STEP, shard),
            )
            writer.write(shard, labels.judged)
            if params.models:
                replies.write(shard, labels.replies)
            tally.add(labels)
        costs = judge.costs()
    seconds = round(time.monotonic() - started, 1)
    write_json(
        report,
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
    if sys.argv[1:2] == ["calibrate"]:
        run(lambda: calibrate(sys.argv[2:]))
    else:
        run_stage(label)
