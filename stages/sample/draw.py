"""Drawing samples: which problems, by which engine, and the settings that determine a sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.engines import Model
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import Policy
from stages.common.tables import DropLog, content_hash, settings_hash
from stages.sample.asked import asked_samples
from stages.sample.batches import batched_samples
from stages.sample.recorded import recorded_samples


@dataclass(frozen=True)
class Drawn:
    """SAMPLE rows, unsorted, and how they came about."""

    samples: pl.DataFrame
    from_journal: int
    """How many were drawn before this run."""
    costs: dict[str, Any] | None
    """What the requests of this run cost; null for engines that make none."""
    unanswered: int = 0
    """Requests that failed for good; their samples are missing."""


def sampling_settings(params: SampleParams, seed: int) -> str:
    """Hash of what determines a sample besides problem, policy and index.

    Not of how many are drawn together, nor of where and how fast requests are answered.
    """
    chosen = params.model_dump(mode="json", include={"engine", "prompt", "temperature", "max_tokens"})
    if params.engine == "served" and params.served is not None:
        chosen["engine"] = Model("served policy").asked_through(params.served)
    return settings_hash({**chosen, "seed": seed})


def choose_problems(problems: pl.DataFrame, policy: str, count: int | None) -> pl.DataFrame:
    """`count` problems by the hash of problem and policy: rounds see other problems, arms of one policy the same."""
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
    label: str,
    drops: DropLog,
) -> Drawn:
    """Draw ``params.samples`` samples for each of `problems` (PROBLEM columns).

    What is finished is in the journal and never drawn again. `label` names the progress bar. Raises `ValueError` for
    settings, a policy or a server that cannot be used.
    """
    settings = sampling_settings(params, seed)
    if params.engine == "recorded":
        if params.recorded is None:
            raise ValueError("sample.recorded: missing for engine recorded")
        path = Path(params.recorded.path)
        return Drawn(recorded_samples(problems, path, policy.hash, settings, params.samples, drops), 0, None)
    if params.engine == "transformers":
        samples, before = batched_samples(problems, policy, params, settings, runtime, label)
        return Drawn(samples, before, None)
    if params.served is None:
        raise ValueError("sample.served: missing for engine served")
    samples, costs = asked_samples(problems, policy, params, params.served, settings, label, drops)
    return Drawn(samples, costs["from_journal"], costs, problems.height * params.samples - samples.height)


def sample_problems(
    problems: pl.DataFrame,
    policy: Policy,
    params: SampleParams,
    runtime: RuntimeParams,
    seed: int,
    label: str,
    drops: DropLog | None = None,
    costs: dict[str, Any] | None = None,
) -> pl.DataFrame:
    """The samples of `draw_samples` for those who need every one; raises `ValueError` where an answer is missing.

    What asking cost is entered in `costs` as "samples".
    """
    drawn = draw_samples(problems, policy, params, runtime, seed, label, drops or DropLog())
    if drawn.unanswered:
        raise ValueError(f"{label}: {drawn.unanswered} samples got no answer; run again to ask for these only")
    if costs is not None and drawn.costs is not None:
        costs["samples"] = drawn.costs
    return drawn.samples
