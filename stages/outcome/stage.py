"""The stage: check one round's final answers."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from stages.common.cluster import Cluster
from stages.common.console import progress
from stages.common.params.block import load
from stages.common.params.outcome import OutcomeParams
from stages.common.params.runtime import load_runtime
from stages.common.params.tables import TablesParams
from stages.common.provenance import describe_environment
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE, ShardWriter, read_shard, replace_dir, shard_names, write_json
from stages.outcome.grader import Grader
from stages.outcome.samples import grade_by, grade_over_ray
from stages.outcome.verdict import grader_version


def check_round(recipe: Path, problems_folder: Path, samples_folder: Path, out: Path, report_file: Path) -> None:
    """Write OUTCOME rows for every sample in `samples_folder` to `out`, and what was found to `report_file`."""
    started = time.monotonic()
    params = load(OutcomeParams, recipe, "outcome")
    shards = shard_names(load(TablesParams, recipe, "tables").shard_digits)
    runtime = load_runtime()
    verdicts = {"right": 0, "wrong": 0, "unknown": 0}
    found_by: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with (
        replace_dir(out) as folder,
        closing(Cluster("runtime.distributed: ray")) as cluster,
        closing(Grader(runtime.num_workers, params.timeout_s)) as grader,
    ):
        writer = ShardWriter(folder, OUTCOME)
        for shard in progress(shards, f"outcome {out.name}", unit="shards"):
            problems, samples = read_shard(problems_folder, PROBLEM, shard), read_shard(samples_folder, SAMPLE, shard)
            if runtime.distributed == "ray":
                outcomes = grade_over_ray(problems, samples, params, runtime.num_workers, cluster)
            else:
                outcomes = grade_by(grader, problems, samples)
            writer.write(shard, outcomes)
            found_by.update(outcomes["extraction_rule"].fill_null("nothing").to_list())
            reasons.update(outcomes["reason"].to_list())
            verdicts["right"] += int(outcomes["is_correct"].sum())
            verdicts["wrong"] += int((~outcomes["is_correct"]).sum())
            verdicts["unknown"] += outcomes["is_correct"].null_count()
    report = {
        "verdicts": verdicts,
        "found_by": dict(found_by),
        "reasons": dict(reasons),
        "grader": grader_version(),
        "seconds": round(time.monotonic() - started, 1),
        "environment": describe_environment(),
    }
    write_json(report_file, report)
