"""Everything that is known of every sample, kept or not: the tables of a round joined, and what its judges replied."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, REPLY, SAMPLE, STEP, Column, Table, read_shard
from stages.judge import make_judge
from stages.judge.llm import VOTE_COUNTS, count_kept_votes, hash_prompt
from tools.publish.formats.base import Format
from tools.publish.rounds import Round

_KEYS = ("sample_id", "problem_id")

_OUTCOME_NAMES = {"answer": "final_answer", "is_correct": "outcome", "reason": "outcome_reason"}
_PROBLEM_NAMES = {"answer": "gold_answer"}

_VOTES = tuple(
    Column(name, pl.Int32, f"votes of all judging models {what}, null where a rule judged", nullable=True)
    for name, what in (
        ("votes_correct", "that call the step correct"),
        ("votes_incorrect", "that call it incorrect"),
        ("votes_invalid", "that gave no verdict, counted by their last try"),
    )
)
_MODELS = (
    Column("judge_models", pl.List(pl.String), "the judging models with their revisions, none where a rule judged"),
    Column("judge_prompts", pl.List(pl.String), "of each of them, the hash of its prompt's template"),
)

_OF_TABLES = tuple(
    column
    for table in (STEP, LABEL)
    for column in table.columns
    if column.name not in (*_KEYS, "first_error") and not (table is LABEL and column.name == "step")
)
_OF_STEP = (*_OF_TABLES, *_VOTES)
_FIRST_ERROR = next(column for column in LABEL.columns if column.name == "first_error")


def _renamed(table: Table, names: dict[str, str], without: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(names.get(column.name, column.name), column.dtype, column.meaning, column.nullable)
        for column in table.columns
        if column.name not in without
    )


def _columns(_: bool) -> tuple[Column, ...]:
    parts = "; ".join(f"{column.name}: {column.meaning}" for column in _OF_STEP)
    return (
        Column("round", pl.String, "the round"),
        *_renamed(SAMPLE, {}, ()),
        *_renamed(PROBLEM, _PROBLEM_NAMES, ("problem_id",)),
        Column(
            "steps",
            pl.List(pl.Struct({column.name: column.dtype for column in _OF_STEP})),
            f"the steps in order. {parts}",
        ),
        _FIRST_ERROR,
        *_MODELS,
        *_renamed(OUTCOME, _OUTCOME_NAMES, _KEYS),
        Column(
            "row", pl.Int64, "0-based row of `kto` and `step_kto`, null where the sample was not kept", nullable=True
        ),
    )


def _parts(of: Round) -> Iterator[pl.DataFrame]:
    """A frame per shard of the tables, so that no more than a shard is held at once."""
    kept = of.rows.select("sample_id", "row")
    models, prompts = judge_names(of), [hash_prompt(model.template) for model in make_judge(of.judge, 0).llms]
    for shard in of.shards:
        problems = read_shard(of.root / "data" / "problems", PROBLEM, shard).rename(_PROBLEM_NAMES)
        samples = read_shard(of.table("samples"), SAMPLE, shard)
        outcomes = read_shard(of.table("outcomes"), OUTCOME, shard).rename(_OUTCOME_NAMES).drop("problem_id")
        steps = read_shard(of.table("steps"), STEP, shard).drop("problem_id")
        judged = read_shard(of.table("labels"), LABEL, shard).drop("problem_id")
        judged = judged.join(_tally(of, shard, steps), on=["sample_id", "step"], how="left")
        by_sample = (
            steps.join(judged, on=["sample_id", "step"], how="inner")
            .sort("sample_id", "step")
            .group_by("sample_id", maintain_order=True)
            .agg(
                pl.struct(column.name for column in _OF_STEP).alias("steps"), first_error=pl.col("first_error").first()
            )
        )
        together = (
            samples.join(problems, on="problem_id").join(by_sample, on="sample_id").join(outcomes, on="sample_id")
        )
        if together.height != samples.height:
            raise ValueError(
                f"{of.table('samples')}, shard {shard}: {samples.height - together.height} samples have no problem, no "
                "steps, no labels or no verdict"
            )
        yield (
            together.join(kept, on="sample_id", how="left")
            .with_columns(
                round=pl.lit(of.name),
                judge_models=pl.lit(models, pl.List(pl.String)),
                judge_prompts=pl.lit(prompts, pl.List(pl.String)),
            )
            .sort("problem_id", "sample_index", "sample_id")
        )


def _tally(of: Round, shard: str, steps: pl.DataFrame) -> pl.DataFrame:
    """How the votes fell on `steps`; no row where a rule judged."""
    if of.replies is None:
        return pl.DataFrame(schema=VOTE_COUNTS)
    replies = read_shard(of.replies, REPLY, shard)
    return count_kept_votes(replies, steps, of.judge.num_votes, len(make_judge(of.judge, 0).llms))


def judge_names(of: Round) -> list[str]:
    """The models that judged, as the recipe names them, with the revisions of those that have one."""
    return [
        f"{model.model}@{model.revision}" if model.revision else model.model for model in make_judge(of.judge, 0).llms
    ]


def _reply_parts(of: Round) -> Iterator[pl.DataFrame]:
    for shard in of.shards if of.replies is not None else ():
        assert of.replies is not None
        yield read_shard(of.replies, REPLY, shard).with_columns(round=pl.lit(of.name))


LABELS = Format(
    "labels",
    "everything: every sample of the round, kept for training or not, with what made it and how each label came about",
    _columns,
    _parts,
)

REPLIES = Format(
    "replies",
    "every raw reply of the models that judged, a failed try's too: what the votes in `labels` were counted from",
    lambda _: (Column("round", pl.String, "the round"), *REPLY.columns),
    _reply_parts,
)
