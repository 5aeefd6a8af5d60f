"""One shard of a round with everything known about it: what labels are selected from and measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, STEP, read_shard


@dataclass(frozen=True)
class RoundTables:
    """Folders of one round's tables."""

    problems: Path
    samples: Path
    steps: Path
    labels: Path
    outcomes: Path


@dataclass(frozen=True)
class RoundShard:
    """One shard's tables, joined by id.

    - ``problems``: problem_id, source, problem
    - ``samples``: sample_id, problem_id, text, and label: the outcome's verdict, null where unknown
    - ``steps``: sample_id, step, start, end, label (null where unknown), votes, agreement; sorted by sample and step
    """

    problems: pl.DataFrame
    samples: pl.DataFrame
    steps: pl.DataFrame


def read_round_shard(inputs: RoundTables, shard: str) -> RoundShard:
    """Read one shard. Raises `ValueError` where labels are those of other steps."""
    steps = read_shard(inputs.steps, STEP, shard).select("sample_id", "step", "start", "end")
    judged = read_shard(inputs.labels, LABEL, shard).select("sample_id", "step", "label", "num_votes", "agreement")
    together = steps.join(judged, on=["sample_id", "step"], how="inner")
    if not together.height == steps.height == judged.height:
        raise ValueError(f"{inputs.labels}: its steps are not those of {inputs.steps}")
    outcomes = read_shard(inputs.outcomes, OUTCOME, shard).select("sample_id", label="is_correct")
    samples = read_shard(inputs.samples, SAMPLE, shard).select("sample_id", "problem_id", "completion")
    return RoundShard(
        read_shard(inputs.problems, PROBLEM, shard).select("problem_id", "source", "problem"),
        samples.join(outcomes, on="sample_id", how="left", maintain_order="left"),
        together.sort("sample_id", "step"),
    )
