"""``python -m stages.split``: split one round's samples into steps."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from stages.common.console import progress, run
from stages.common.params.base import load
from stages.common.params.records import RecordsParams
from stages.common.params.split import SplitParams
from stages.common.tables import SAMPLE, STEP, ShardWriter, read_shard, replace_dir, shard_names, write_json
from stages.split.spans import split_samples


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.split", description=__doc__)
    for name in ("recipe", "samples", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    params = load(SplitParams, arguments.recipe, "split")
    shards = shard_names(load(RecordsParams, arguments.recipe, "records").shard_digits)
    samples = 0
    sizes: Counter[int] = Counter()
    shapes: Counter[str] = Counter()
    with replace_dir(arguments.out) as folder:
        writer = ShardWriter(folder, STEP)
        for shard in progress(shards, f"split {arguments.out.name}", unit="shards"):
            frame = read_shard(arguments.samples, SAMPLE, shard)
            steps = split_samples(frame, params, shapes)
            writer.write(shard, steps)
            samples += frame.height
            sizes.update(steps.group_by("sample_id").len()["len"].to_list())
    write_json(
        arguments.report,
        {
            "samples": samples,
            "steps": writer.rows,
            "steps_per_sample": {str(size): sizes[size] for size in sorted(sizes)},
            "shapes": dict(shapes),
            "seconds": round(time.monotonic() - started, 1),
        },
    )


if __name__ == "__main__":
    run(main)
