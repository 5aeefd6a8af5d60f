"""Sampling: which problems are sampled, and what determines a sample."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common.engines import Engine, find_engine_kind
from stages.common.errors import UserError
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import Policy
from stages.common.tables import DropLog, content_hash, hash_sampling_params
from stages.sample.from_engine import SampleSource


@dataclass(frozen=True)
class SampleBatch:
    """SAMPLE rows, unsorted, and how they were made."""

    samples: pl.DataFrame
    from_journal: int
    """How many an earlier run had generated."""
    llm_usage: dict[str, Any] | None
    """Usage of all requests, whichever run made them; null for engines that make none."""
    num_missing: int
    """Requests that failed finally; their samples are missing."""
    token_ids: dict[str, int]
    """How many samples have their token ids, and why others have none; see `SampledTokens.report`."""


def hash_sampling(params: SampleParams, seed: int) -> str:
    """Hash of what determines a sample besides problem, policy and index.

    Independent of the number of samples, and of where and how fast they are generated.
    """
    later = {"thinking"} if params.thinking != "kept" else set()  # ids of samples without thinking stay
    hashed = params.model_dump(mode="json", include={"prompt", "temperature", "max_tokens"} | later)
    if params.engine.extra_body:
        hashed["extra_body"] = params.engine.extra_body
    engine = find_engine_kind(params.engine).name_sampler(params.engine)
    return hash_sampling_params({**hashed, "engine": engine, "seed": seed})


def choose_problems(problems: pl.DataFrame, policy: str, count: int | None) -> pl.DataFrame:
    """`count` problems by the hash of problem and policy: others each round, the same for variants of a policy."""
    if count is None or count >= problems.height:
        return problems.sort("problem_id")
    order = pl.Series("order", [content_hash("choose", policy, p) for p in problems["problem_id"]])
    return problems.with_columns(order).sort("order").head(count).drop("order").sort("problem_id")


def draw_samples(
    problems: pl.DataFrame,
    policy: Policy,
    params: SampleParams,
    runtime: RuntimeParams,
    seed: int,
    desc: str,
    drops: DropLog,
    engine: Engine | None = None,
) -> SampleBatch:
    """Draw ``params.num_samples`` samples for each of `problems` (PROBLEM columns).

    Finished samples are in the journal and never drawn again. `desc` names the progress bar; `engine` is one of
    `open_engine`, None for one of its own. Raises `UserError` for params, a policy or a server that cannot be used.
    """
    source = SampleSource(problems, policy, params, hash_sampling(params, seed), drops)
    samples, from_journal, usage = source.read(runtime, desc, engine)
    kind = find_engine_kind(params.engine)
    missing = problems.height * params.num_samples - samples.height if kind.generates else 0
    usage = usage if kind.makes_requests else None
    return SampleBatch(samples, from_journal, usage, missing, source.tokens.report())


def sample_problems(
    problems: pl.DataFrame,
    policy: Policy,
    params: SampleParams,
    runtime: RuntimeParams,
    seed: int,
    desc: str,
    drops: DropLog | None = None,
    llm_usage: dict[str, Any] | None = None,
    engine: Engine | None = None,
) -> pl.DataFrame:
    """The samples of `draw_samples`, complete; raise `UserError` where one is missing.

    The usage of requests is entered in `llm_usage` as "samples".
    """
    batch = draw_samples(problems, policy, params, runtime, seed, desc, drops or DropLog(), engine)
    if batch.num_missing:
        raise UserError(f"{desc}: {batch.num_missing} samples have no completion; run again to request these only")
    if llm_usage is not None and batch.llm_usage is not None:
        llm_usage["samples"] = batch.llm_usage
    return batch.samples
