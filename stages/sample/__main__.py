"""``python -m stages.sample``: draw one round's samples from its policy."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import polars as pl

from stages.common.console import run
from stages.common.params.base import load, load_seed
from stages.common.params.records import RecordsParams
from stages.common.params.runtime import load_runtime
from stages.common.params.sample import SampleParams
from stages.common.policies import read_policy
from stages.common.provenance import environment
from stages.common.tables import PROBLEM, SAMPLE, DropLog, read_table, replace_dir, write_json, write_table
from stages.sample.draw import choose_problems, draw_samples


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.sample", description=__doc__)
    for name in ("recipe", "problems", "policy", "out", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    params = load(SampleParams, arguments.recipe, "sample")
    digits = load(RecordsParams, arguments.recipe, "records").shard_digits
    seed = load_seed(arguments.recipe)
    policy = read_policy(arguments.policy)
    pool = read_table(arguments.problems, PROBLEM, digits).filter(pl.col("split") == "train")
    if pool.is_empty():
        raise ValueError(f"{arguments.problems}: no training problem to sample from")
    problems = choose_problems(pool, policy.hash, params.problems)
    drops = DropLog()
    drawn = draw_samples(problems, policy, params, load_runtime(), seed, f"sample {arguments.out.name}", drops)
    samples = drawn.samples
    with replace_dir(arguments.out) as folder:
        write_table(folder, SAMPLE, samples, digits)
    finish = samples["finish_reason"].value_counts()
    write_json(
        arguments.report,
        {
            "policy": policy.hash,
            "problems": problems.height,
            "samples": samples.height,
            "engine": params.engine,
            "from_journal": drawn.from_journal,
            "generated": max(samples.height - drawn.from_journal, 0),
            "prompt_tokens": samples["prompt_tokens"].sum(),
            "completion_tokens": samples["completion_tokens"].sum(),
            "finish": dict(sorted(finish.iter_rows())),
            "costs": drawn.costs,
            "drops": drops.report(),
            "seconds": round(time.monotonic() - started, 1),
            "environment": environment(),
        },
    )


if __name__ == "__main__":
    run(main)
