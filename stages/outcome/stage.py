"""The stage: verify the final answers of one round."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import polars as pl

from stages.common.cluster import Cluster
from stages.common.params.block import load
from stages.common.params.outcome import OutcomeParams
from stages.common.params.runtime import load_runtime
from stages.common.params.tables import TablesParams
from stages.common.progress import progress
from stages.common.tables import (
    OUTCOME,
    PROBLEM,
    SAMPLE,
    VERIFIER_RESPONSE,
    ShardWriter,
    list_shards,
    read_shard,
    replace_dir,
    write_json,
)
from stages.common.verifiers import VerifierSet
from stages.outcome.model_verifier import ModelVerifier
from stages.outcome.verify_table import verify_on_ray, verify_with


def verify_round(recipe: Path, problems_folder: Path, samples_folder: Path, out: Path, report_file: Path) -> None:
    """Write OUTCOME rows for every sample in `samples_folder` to `out`, and their counts to `report_file`."""
    params = load(OutcomeParams, recipe, "outcome")
    shards = list_shards(load(TablesParams, recipe, "tables").shard_digits)
    runtime = load_runtime()
    columns = ("extraction_rule", "reason", "verifier")
    counts: dict[str, Counter[str]] = {name: Counter() for name in columns}
    verdicts: Counter[bool | None] = Counter()
    with (
        replace_dir(out) as folder,
        closing(Cluster("runtime.distributed: ray")) as cluster,
        closing(VerifierSet(runtime.num_workers, params.timeout_s, params.guess)) as verifiers,
        ExitStack() as stack,
    ):
        model = None
        if params.second_verifier is not None:
            model = stack.enter_context(ModelVerifier.open(params.second_verifier, f"outcome {out.name}"))
            response_writer = ShardWriter(folder / "responses", VERIFIER_RESPONSE)
        writer = ShardWriter(folder, OUTCOME)
        for shard in progress(shards, f"outcome {out.name}", unit="shards"):
            problems, samples = read_shard(problems_folder, PROBLEM, shard), read_shard(samples_folder, SAMPLE, shard)
            if runtime.distributed == "ray":
                outcomes = verify_on_ray(problems, samples, params, runtime.num_workers, cluster)
            else:
                outcomes = verify_with(verifiers, problems, samples)
            if model is not None:
                outcomes, responses = model.ask(outcomes, problems)
                response_writer.write(shard, responses)
            writer.write(shard, outcomes)
            verdicts.update(outcomes["is_correct"].to_list())
            for name in columns:
                counts[name].update(outcomes.select(pl.col(name).fill_null("none")).to_series().to_list())
    report = {
        "verdicts": {"correct": verdicts[True], "incorrect": verdicts[False], "unknown": verdicts[None]},
        "extraction_rules": dict(counts["extraction_rule"]),
        "reasons": dict(counts["reason"]),
        "verifiers": dict(counts["verifier"]),
        **({} if model is None else {"second_verifier": model.report()}),
    }
    write_json(report_file, report)
