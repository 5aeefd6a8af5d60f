"""Sampling in this process: what is not yet in the journal goes through the transformers engine batch by batch."""

from __future__ import annotations

import polars as pl

from stages.common.console import progress
from stages.common.journal import ROOT, Journal
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import Policy
from stages.common.tables import SAMPLE, content_hash, sample_id, seed_from
from stages.sample.engine import Request, TransformersEngine


def batched_samples(
    problems: pl.DataFrame, policy: Policy, params: SampleParams, settings: str, runtime: RuntimeParams, label: str
) -> tuple[pl.DataFrame, int]:
    """SAMPLE rows of `problems` (PROBLEM columns), unsorted, and how many of them the journal held already.

    Deterministic in its arguments on one kind of hardware. A kill loses at most the batch in work. Raises `ValueError`
    for a policy without weights.
    """
    if policy.repo is None and not any(policy.folder.glob("*.safetensors")):
        raise ValueError(f"{policy.folder}: has no weights to sample from (seed_model.kind none)")
    with Journal(ROOT / "sample" / f"{policy.hash}-{settings}.jsonl") as journal:
        requests = [
            Request(
                content_hash(row["problem_id"], k),
                row["problem_id"],
                row["problem"],
                k,
                seed_from("sample", row["problem_id"], policy.hash, settings, k),
            )
            for row in problems.sort("problem_id").iter_rows(named=True)
            for k in range(params.samples)
        ]
        missing = [request for request in requests if request.key not in journal]
        engine = TransformersEngine(policy, params, runtime)
        batches = [missing[at : at + params.batch] for at in range(0, len(missing), params.batch)]
        for batch in progress(batches, label, unit="batches"):
            completions = engine.complete(batch)
            journal.put({r.key: c for r, c in zip(batch, completions, strict=True)})
        rows = []
        for request in requests:
            completion = journal.get(request.key)
            rows.append(
                {
                    "sample_id": sample_id(
                        request.problem_id, policy.hash, settings, request.index, completion["completion"]
                    ),
                    "problem_id": request.problem_id,
                    "policy": policy.hash,
                    "sampling_hash": settings,
                    "sample_index": request.index,
                    "seed": request.seed,
                    **completion,
                }
            )
    return pl.DataFrame(rows, schema=SAMPLE.schema), len(requests) - len(missing)
