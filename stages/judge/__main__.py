"""``python -m stages.judge``: label every step of one round's samples."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed
from stages.common.params.judge import JudgeParams
from stages.common.params.tables import TablesParams
from stages.common.progress import progress
from stages.common.tables import (
    LABEL,
    PROBLEM,
    REPLY,
    SAMPLE,
    STEP,
    ShardWriter,
    list_shards,
    read_shard,
    replace_dir,
    write_json,
)
from stages.judge.calibration import check_gate, run_gate
from stages.judge.checks import check_judge, raise_degenerate
from stages.judge.label_stats import LabelStats
from stages.judge.labelling import open_judge
from stages.judge.step_labels import CompletionSteps, join_completions


def label(recipe: Path, problems: Path, samples: Path, steps: Path, out: Path, report: Path) -> None:
    """Label every step of one round's samples."""
    params = load(JudgeParams, recipe, "judge")
    shards = list_shards(load(TablesParams, recipe, "tables").shard_digits)
    desc = f"judge {out.name}"
    seed = load_seed(recipe)
    calibration = run_gate(params, seed, f"{desc} gate")
    if params.gate is not None and calibration is not None:
        write_json(report, {"judge": params.kind, "calibration": calibration})
        check_gate(params.gate, calibration, report)

    def read_tables(shard: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        return read_shard(problems, PROBLEM, shard), read_shard(samples, SAMPLE, shard), read_shard(steps, STEP, shard)

    def read_completions() -> Iterator[CompletionSteps]:
        for shard in shards:
            yield from join_completions(*read_tables(shard))

    stats = LabelStats()
    with replace_dir(out) as folder, open_judge(params, seed, desc) as judge:
        checks = check_judge(judge, read_completions(), calibration)
        if checks is not None and params.checks.stop:
            write_json(report, {"judge": params.kind, "calibration": calibration, "checks": checks})
            raise_degenerate(checks, report)
        if calibration is not None:
            write_json(folder / "calibration.json", calibration)
        writer = ShardWriter(folder, LABEL)
        reply_writer = ShardWriter(folder / "replies", REPLY)
        for shard in progress(shards, desc, unit="shards"):
            labels = judge.label(*read_tables(shard))
            writer.write(shard, labels.labels)
            if judge.has_replies:
                reply_writer.write(shard, labels.replies)
            stats.add(labels)
        llm_usage = judge.report_usage()
    write_json(
        report,
        {
            "judge": params.kind,
            "num_votes": params.num_votes,
            **stats.report(),
            "calibration": calibration,
            "checks": checks,
            "llm_usage": llm_usage,
        },
    )


if __name__ == "__main__":
    run_stage(label)
