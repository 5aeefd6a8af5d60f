"""One shard of a round with its labels: what rows are made from and label quality is measured on."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.params.judge import JudgeScope
from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, SELECTION, STEP, read_shard
from stages.select import keep_in_scope

SAMPLED = ("completion", "finish_reason", "completion_ids", "tokenizer")
"""What training needs of a sample."""


@dataclass(frozen=True)
class RoundTables:
    """Folders of one round's tables, and which samples were judged."""

    problems: Path
    samples: Path
    outcomes: Path
    selections: Path
    steps: Path
    labels: Path
    scope: JudgeScope


@dataclass(frozen=True)
class RoundShard:
    """One shard's tables, joined by id.

    - ``problems``: problem_id, source, problem
    - ``samples``: sample_id, problem_id, `SAMPLED`, and label: the outcome, null where unknown
    - ``selection``: SELECTION columns
    - ``steps``: sample_id, step, start, end, label (null where unknown), num_votes, agreement; sorted by sample, step
    """

    problems: pl.DataFrame
    samples: pl.DataFrame
    selection: pl.DataFrame
    steps: pl.DataFrame
    scope: JudgeScope

    @property
    def samples_in_scope(self) -> pl.DataFrame:
        """Those of `samples` that were judged."""
        return keep_in_scope(self.samples, self.selection, self.scope)


def read_round_shard(tables: RoundTables, shard: str) -> RoundShard:
    """Read one shard. Raises `UserError` if the labels belong to other steps."""
    steps = read_shard(tables.steps, STEP, shard).select("sample_id", "step", "start", "end")
    labels = read_shard(tables.labels, LABEL, shard).select("sample_id", "step", "label", "num_votes", "agreement")
    steps_with_labels = steps.join(labels, on=["sample_id", "step"], how="inner")
    if not steps_with_labels.height == steps.height == labels.height:
        raise UserError(f"{tables.labels}: its steps are not those of {tables.steps}")
    outcomes = read_shard(tables.outcomes, OUTCOME, shard).select("sample_id", label="is_correct")
    samples = read_shard(tables.samples, SAMPLE, shard).select("sample_id", "problem_id", *SAMPLED)
    return RoundShard(
        read_shard(tables.problems, PROBLEM, shard).select("problem_id", "source", "problem"),
        samples.join(outcomes, on="sample_id", how="left", maintain_order="left"),
        read_shard(tables.selections, SELECTION, shard),
        steps_with_labels.sort("sample_id", "step"),
        tables.scope,
    )
