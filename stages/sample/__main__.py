"""``python -m stages.sample``: draw one round's samples from its policy."""

from pathlib import Path

import polars as pl

from stages.common.console import run_stage
from stages.common.engines import find_engine_kind
from stages.common.errors import UserError
from stages.common.params.block import load, load_seed
from stages.common.params.runtime import load_runtime
from stages.common.params.sample import SampleParams
from stages.common.params.tables import TablesParams
from stages.common.policies import read_policy
from stages.common.tables import PROBLEM, SAMPLE, DropLog, read_table, replace_dir, write_json, write_table
from stages.sample.generation_config import read_ignored_generation_config
from stages.sample.sampling import choose_problems, draw_samples


def sample(recipe: Path, problems: Path, policy: Path, out: Path, report: Path) -> None:
    """Draw one round's samples from its policy."""
    params = load(SampleParams, recipe, "sample")
    digits = load(TablesParams, recipe, "tables").shard_digits
    seed = load_seed(recipe)
    source = read_policy(policy)
    pool = read_table(problems, PROBLEM, digits).filter(pl.col("split") == "train")
    if pool.is_empty():
        raise UserError(f"{problems}: no training problem to sample from")
    chosen = choose_problems(pool, source.hash, params.num_problems)
    drops = DropLog()
    batch = draw_samples(chosen, source, params, load_runtime(), seed, f"sample {out.name}", drops)
    samples = batch.samples
    with replace_dir(out) as folder:
        write_table(folder, SAMPLE, samples, digits)
    finish = samples["finish_reason"].value_counts()
    write_json(
        report,
        {
            "policy": source.hash,
            "problems": chosen.height,
            "samples": samples.height,
            "engine": params.engine.kind,
            "prompt_tokens": samples["prompt_tokens"].sum(),
            "completion_tokens": samples["completion_tokens"].sum(),
            "finish_reasons": dict(sorted(finish.iter_rows())),
            "token_ids": batch.token_ids,
            "generation_config_ignored": read_ignored_generation_config(source, find_engine_kind(params.engine)),
            "llm_usage": batch.llm_usage,
            "drops": drops.report(),
        },
    )


if __name__ == "__main__":
    run_stage(sample)
